// Which studies are compared, and the smallest difference that matters. The address holds them.

import { get } from "./api.js";
import { debounced, h, keyed } from "./dom.js";
import type { Studies } from "./models.js";

export function chooser(load: () => void): HTMLElement {
  const list = h("ul.chosen-studies", { "aria-label": "Studies compared" });
  const input = h("input", { id: "add", list: "known", placeholder: "Add a study", autocomplete: "off" });
  const known = h("datalist", { id: "known" });
  const difference = h("input", { id: "difference", placeholder: "the study's", size: "9", autocomplete: "off" });

  const change = (edit: (query: URLSearchParams) => void) => {
    const query = new URLSearchParams(location.search);
    edit(query);
    const text = query.toString();
    history.pushState(null, "", text ? `?${text}` : location.pathname);
    show();
    load();
  };
  const remove = (study: string) =>
    change((query) => {
      const left = query.getAll("study").filter((one) => one !== study);
      query.delete("study");
      for (const one of left) query.append("study", one);
    });
  const add = () => {
    const name = input.value.trim();
    if (!name || new URLSearchParams(location.search).getAll("study").includes(name)) return;
    input.value = "";
    change((query) => query.append("study", name));
    input.focus();
  };
  const show = () => {
    const query = new URLSearchParams(location.search);
    keyed(list, query.getAll("study"), (one) => one, (one) => h("li.chip", {}, one, h("button.remove", { type: "button", "aria-label": `Remove ${one}`, onclick: () => remove(one) }, "×")), () => undefined);
    difference.value = query.get("difference") ?? "";
  };
  const offer = debounced(() => {
    void get<Studies>("/studies", { query: { search: input.value.trim(), limit: 20 } })
      .then((answer) => known.replaceChildren(...answer.studies.map((one) => h("option", { value: one.study }))))
      .catch(() => null);
  }, 150);
  input.addEventListener("focus", offer);
  input.addEventListener("input", (event) => {
    if ((event as InputEvent).inputType === "insertReplacementText" || !(event instanceof InputEvent)) add(); // chosen from the list
    else offer();
  });
  difference.addEventListener("change", () => change((query) => (difference.value.trim() ? query.set("difference", difference.value.trim()) : query.delete("difference"))));
  window.addEventListener("popstate", show);
  show();
  const form = h("form.chooser", {}, list, h("label.aside", { for: "add" }, "Add a study"), input, known, h("button", { type: "submit" }, "Add"), h("span.check", {}, h("label", { for: "difference" }, "Smallest difference that matters"), difference));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) add();
    else difference.blur();
  });
  return form;
}
