// What every page has: who is signed in, the theme, the way out, times that stay right.

import { ApiProblem, get, page, sentenceOf } from "./api.js";
import { byId, h, put } from "./dom.js";
import type { Me } from "./models.js";
import { refreshTimes } from "./state.js";

let asked: Promise<Me> | null = null;

// Who is signed in; asked once a page.
export function me(): Promise<Me> {
  asked ??= get<Me>("/me");
  return asked;
}

// Fills the header. Every page's script calls it first.
export function frame(): void {
  theme();
  window.setInterval(refreshTimes, 15_000);
  void me()
    .then((who) => {
      put(byId("who"), who.name, " ", h("span.role", {}, who.role));
      byId("store").title = `Store: ${who.store}`;
      put(byId("store"), who.store);
      byId("version").textContent = `HPO Arena ${who.version}`;
      byId("nav-submit").hidden = !who.can.includes("run");
      byId("nav-access").hidden = !who.can.includes("admin");
      byId("logout").hidden = who.session === false;
    })
    .catch((error: unknown) => {
      if (error instanceof ApiProblem && error.status === 401) return;
      put(byId("who"), sentenceOf(error));
    });
}

// The theme of the system, or the one chosen, which a cookie keeps so that the server's first byte has it.
function theme(): void {
  const choice = byId<HTMLSelectElement>("theme");
  choice.value = document.documentElement.dataset["theme"] ?? "system";
  choice.addEventListener("change", () => {
    const wanted = choice.value;
    if (wanted === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = wanted;
    const path = page("/") || "/";
    document.cookie = `hpo_theme=${wanted};path=${path};max-age=31536000;samesite=lax`;
    window.dispatchEvent(new CustomEvent("themechange")); // charts take their colours again
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    window.dispatchEvent(new CustomEvent("themechange"));
  });
}

// A colour of the theme as it is now: colour("accent").
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Shows what went wrong in a place of its own, with a button to try again; null takes it away.
export function trouble(place: HTMLElement, error: unknown, again?: () => void): void {
  if (error === null) {
    place.replaceChildren();
    place.hidden = true;
    return;
  }
  place.hidden = false;
  place.className = "trouble";
  place.setAttribute("role", "alert");
  put(place, h("p", {}, sentenceOf(error)), again ? h("button", { type: "button", onclick: again }, "Try again") : null);
}
