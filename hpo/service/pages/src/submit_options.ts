// What a submission may ask for beside its text: files, its share of the cluster, a queue, workers.

import { h, put } from "./dom.js";
import { bytes } from "./format.js";

export interface SubmitOptions {
  element: HTMLElement;
  values(): Record<string, string | number>;
  files(): File | null;
}

const NUMBERS = ["priority", "workers", "retries"];

export function options(filesChanged: () => void): SubmitOptions {
  const field = (name: string, label: string, hint: string, type: string, min?: string, step?: string) => {
    const input = h("input", { id: name, name, type, min, step, placeholder: hint, autocomplete: "off" });
    return { input, element: h("div.field", {}, h("label", { for: name }, label), input) };
  };
  const fields = [
    field("priority", "Priority", "the study's", "number", "0", "any"),
    field("queue", "Queue", "none", "text"),
    field("workers", "Workers", "the study's", "number", "1", "1"),
    field("retries", "Retries", "0", "number", "0", "1"),
  ];
  const files = h("input", { id: "files", type: "file", accept: ".zip,application/zip" });
  const about = h("span.note", {}, "What the study file names beside it, such as code or data.");
  files.addEventListener("change", () => {
    const file = files.files?.[0];
    put(about, file ? `${file.name}, ${bytes(file.size)}` : "What the study file names beside it, such as code or data.");
    filesChanged();
  });
  const element = h(
    "details.card",
    {},
    h("summary", {}, "Options"),
    h("div.fields", {}, ...fields.map((one) => one.element)),
    h("div.field", {}, h("label", { for: "files" }, "Files (a zip)"), files, about),
  );
  return {
    element,
    files: () => files.files?.[0] ?? null,
    values: () => {
      const found: Record<string, string | number> = {};
      for (const { input } of fields) {
        const text = input.value.trim();
        if (text) found[input.name] = NUMBERS.includes(input.name) ? Number(text) : text;
      }
      return found;
    },
  };
}
