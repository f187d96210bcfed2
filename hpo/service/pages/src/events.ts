// Streams of events: they go on where they broke off, and the header shows whether what is seen is live.

import { ROOT, get, toLogin, ApiProblem } from "./api.js";
import { put } from "./dom.js";

type Live = "live" | "connecting" | "away";
const SENTENCES: Record<Live, string> = {
  live: "Live",
  connecting: "Connecting …",
  away: "No connection: asking again",
};

// Shows in the header whether the page is connected; nothing before a page listens.
export function showConnection(state: Live): void {
  const place = document.getElementById("connection");
  if (!place) return;
  place.hidden = false;
  place.dataset["state"] = state;
  put(place, SENTENCES[state]);
}

const SLOWEST = 30_000;

// Listens to /api/v1PATH until `stop()`; a function gives the path anew for each connection. `handlers`: by the event's name, with its data. `again` runs after each
// connection that was lost and is back where the server cannot resume, so that the page reads all afresh.
export function listen(path: string | (() => string), handlers: Record<string, (data: unknown) => void>, again?: () => void): () => void {
  let source: EventSource | null = null;
  let stopped = false;
  let wait = 1000;
  let timer = 0;
  let lost = false;

  const open = () => {
    showConnection("connecting");
    const mine = new EventSource(`${ROOT}/api/v1${typeof path === "string" ? path : path()}`);
    source = mine;
    mine.onopen = () => {
      wait = 1000;
      showConnection("live");
      if (lost) again?.();
      lost = false;
    };
    mine.onerror = () => {
      if (stopped) return;
      showConnection("away");
      if (mine.readyState !== EventSource.CLOSED) return; // the browser connects again, with Last-Event-ID
      lost = true;
      mine.close();
      void whetherStillSignedIn();
      timer = window.setTimeout(open, wait);
      wait = Math.min(SLOWEST, wait * 2);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      mine.addEventListener(name, (event) => handle(parsed((event as MessageEvent<string>).data)));
    }
  };

  const stop = () => {
    stopped = true;
    window.clearTimeout(timer);
    source?.close();
  };
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && stopped) {
      stopped = false;
      lost = true;
      open();
    }
  });
  open();
  return stop;
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}

async function whetherStillSignedIn(): Promise<void> {
  try {
    await get("/me");
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 401) toLogin();
  }
}
