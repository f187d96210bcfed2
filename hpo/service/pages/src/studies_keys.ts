// The keys of the list of studies, which its foot names.

import { h } from "./dom.js";

// "/" searches, arrows go from study to study, x selects; none of them while something is typed.
export function keys(rows: HTMLElement, search: HTMLInputElement): HTMLElement {
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.matches("input:not([type=checkbox]), select, textarea")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (event.key === "/") {
      event.preventDefault();
      search.focus();
    }
    const row = target.closest("tr");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const down = event.key === "ArrowDown";
      const next = row && rows.contains(row) ? (down ? row.nextElementSibling : row.previousElementSibling) : null;
      if (!row) return;
      event.preventDefault();
      next?.querySelector<HTMLElement>(".name a")?.focus();
    }
    if (event.key === "x" && row) row.querySelector<HTMLInputElement>(".pick input")?.click();
  });
  const key = (name: string) => h("kbd", {}, name);
  return h("p.note.keys", {}, key("/"), " search  ", key("↑"), key("↓"), " next study  ", key("x"), " select  ", key("Enter"), " open");
}
