// What a new study starts from: a preset, an earlier study, or what was written in this tab before.

import { get, sentenceOf, studyPath } from "./api.js";
import { ask } from "./dialog.js";
import { announce, h, put } from "./dom.js";
import type { Studies } from "./models.js";

interface Presets {
  presets: { name: string; about: string }[];
}

const EMPTY = `study: my-study
data: {name: digits}
model: {name: digits_net}
space:
  learning_rate: {type: float, low: 1.0e-4, high: 0.03, log: true}
fixed: {batch_size: 8, image_size: 32}
budget: {epochs: 64, max_epochs: 8}
methods: [random, asha]
seeds: [0, 1, 2]
`;

// The text to begin with: what the address asks for, else what this tab had, else a small study.
export async function beginning(kept: string | null): Promise<string> {
  const query = new URLSearchParams(location.search);
  const preset = query.get("preset");
  const study = query.get("from");
  try {
    if (preset) return await presetText(preset);
    if (study) return await studyText(study);
  } catch (error) {
    return `# ${sentenceOf(error)}\n${kept ?? EMPTY}`;
  }
  return kept ?? EMPTY;
}

async function presetText(name: string): Promise<string> {
  return (await get<{ text: string }>(`/presets/${encodeURIComponent(name)}`)).text;
}

// An earlier study's text under a new name: a name is taken once.
async function studyText(name: string): Promise<string> {
  const { yaml } = await get<{ yaml: string }>(`${studyPath(name)}/definition`);
  return yaml.replace(/^study:.*$/m, `study: ${/^[\w.-]+$/.test(name) ? name : JSON.stringify(name)}-2`);
}

// A choice of presets and studies; taking one over a changed text is asked for once.
export function starts(text: () => string, replace: (text: string) => void): HTMLElement {
  let original: string | null = null; // the text as it was taken, null until then
  const select = h("select", { id: "start" }, h("option", { value: "" }, "Start from …"));
  const about = h("span.note");
  const load = async (value: string) => {
    const [kind, name] = [value.slice(0, 1), value.slice(1)];
    const next = kind === "p" ? await presetText(name) : await studyText(name);
    replace(next);
    original = next;
    announce(`The text is that of ${name}`);
  };
  select.addEventListener("change", () => {
    const value = select.value;
    put(about, select.selectedOptions[0]?.dataset["about"] ?? "");
    select.value = "";
    if (!value) return;
    const run = () => load(value);
    if (original === null || original === text()) void run().catch((error: unknown) => put(about, sentenceOf(error)));
    else void ask({ title: "Replace the text?", body: [h("p", {}, "What you wrote is lost.")], action: "Replace", serious: true, run });
  });
  queueMicrotask(() => (original = text()));
  void offers(select);
  return h("div.starts", {}, h("label.aside", { for: "start" }, "Start from"), select, about);
}

async function offers(select: HTMLSelectElement): Promise<void> {
  const [presets, studies] = await Promise.allSettled([get<Presets>("/presets"), get<Studies>("/studies", { query: { limit: 50, sort: "-updated" } })]);
  if (presets.status === "fulfilled") {
    const group = h("optgroup", { label: "Presets" });
    for (const { name, about } of presets.value.presets) group.append(h("option", { value: `p${name}`, "data-about": about }, name));
    select.append(group);
  }
  if (studies.status === "fulfilled" && studies.value.studies.length) {
    const group = h("optgroup", { label: "Earlier studies" });
    for (const { study, task } of studies.value.studies) group.append(h("option", { value: `s${study}`, "data-about": task ?? "" }, study));
    select.append(group);
  }
}
