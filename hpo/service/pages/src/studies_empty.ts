// What the list of studies says where it has nothing to show.

import { page } from "./api.js";
import { copyButton, h } from "./dom.js";
import type { Me } from "./models.js";

export function emptyStore(who: Me): HTMLElement {
  const command = `hpo run digits --store ${who.store}`;
  return h(
    "div.empty",
    {},
    h("h2", {}, "No study yet"),
    h("p", {}, "A study appears here as soon as its driver writes to this store. To begin with a small one that takes a minute:"),
    h("div.command", {}, h("pre", { tabindex: "0" }, command), copyButton(() => command)),
    who.can.includes("run") && who.cluster
      ? h("p", {}, h("a.button.primary", { href: page("/submit", { preset: "digits" }) }, "Submit a study"), " runs it on the cluster of this service.")
      : null,
    h("p.note", {}, h("a", { href: page("/", { archived: 1 }) }, "Archived studies")),
  );
}

export function noneMatches(clear: () => void): HTMLElement {
  return h(
    "div.empty",
    {},
    h("h2", {}, "No study matches"),
    h("p", {}, "The search and the filters leave none. ", h("button", { type: "button", onclick: clear }, "Show all studies")),
  );
}
