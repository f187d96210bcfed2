// A verdict as pages draw it: the first sentence says it, the others how sure that is; an interim one begins with that word.

import { h, put } from "./dom.js";

const FIRST = 180; // letters of a first sentence that is set strong
const INTERIM = /^Interim[^:]*:\s/;

export function drawVerdict(element: HTMLElement, text: string): void {
  if (element.textContent === text) return;
  const word = INTERIM.exec(text)?.[0] ?? "";
  const said = text.slice(word.length);
  const end = said.search(/\.(\s|$)/) + 1 || said.length;
  element.classList.toggle("interim", word !== "");
  put(element, word && h("span.over", {}, word), end <= FIRST ? h("strong", {}, said.slice(0, end)) : said.slice(0, end), said.slice(end));
}
