// A study's state as every page shows it: an icon and the word, never a colour alone.

import { h, put, s } from "./dom.js";
import { ago, lasting, moment } from "./format.js";
import type { State, Word } from "./models.js";

export const WORDS: readonly Word[] = ["running", "starting", "queued", "no sign of life", "failed", "stopped", "complete"];

const PATHS: Record<Word, string> = {
  queued: "M8 4.5V8l2.5 1.5M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2Z",
  starting: "M8 2v3M8 11v3M2 8h3M11 8h3M3.8 3.8l2 2M10.2 10.2l2 2",
  running: "M5 3.5v9l7.5-4.5Z",
  "no sign of life": "M8 2.5 14.5 13.5H1.5ZM8 7v3M8 11.6v.4",
  stopped: "M4 4h8v8H4Z",
  failed: "M4 4l8 8M12 4l-8 8",
  complete: "M2.8 8.4 6.4 12 13.2 4.6",
};

export function stateIcon(word: Word): SVGSVGElement {
  return s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", class: "icon" }, s("path", { d: PATHS[word] ?? PATHS.queued }));
}

// The state's word with its icon; the sentence is its title. A second call on the same element changes it in place.
export function stateBadge(state: State, element: HTMLElement = h("span")): HTMLElement {
  const key = `${state.word}|${state.sentence}`;
  if (element.dataset["shown"] === key) return element;
  element.dataset["shown"] = key;
  element.className = "state";
  element.dataset["word"] = state.word;
  element.title = state.sentence;
  put(element, stateIcon(state.word), h("span", {}, state.word));
  return element;
}

// "5 min ago" (`lasts`: "for 5 min"), which its title says as a time; keeps itself up to date through `refreshTimes`.
export function timeElement(time: number | null, element: HTMLTimeElement = h("time"), lasts = false): HTMLTimeElement {
  if (time === null) {
    put(element, "–");
    delete element.dataset["time"];
    return element;
  }
  if (element.dataset["time"] !== String(time)) {
    element.dataset["time"] = String(time);
    element.dateTime = new Date(time * 1000).toISOString();
    element.title = moment(time);
  }
  if (lasts) element.dataset["lasts"] = "";
  else delete element.dataset["lasts"];
  tell(element);
  return element;
}

function tell(element: HTMLTimeElement): void {
  const time = Number(element.dataset["time"]);
  put(element, element.dataset["lasts"] === undefined ? ago(time) : lasting(time));
}

// Renews every "... ago" and "for ..." of the page.
export function refreshTimes(): void {
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-time]")) {
    tell(element);
  }
}
