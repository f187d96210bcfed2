// What can be done with a study: stop, go on, archive (each asks once), compare, copy; and what can be downloaded of it.

import { ApiProblem, api, page, pause, randomKey, send, sentenceOf, studyPath } from "../api.js";
import { ask } from "../dialog.js";
import { announce, h, put } from "../dom.js";
import { me } from "../frame.js";
import type { StudyDetail } from "./answers.js";

const GOING = ["queued", "starting", "running"];
const ENDED = ["stopped", "failed", "no sign of life"];

export class StudyActions {
  private may = false;
  private cluster = false; // without one, nothing can be submitted or stopped from here
  private shown = "";
  private last: StudyDetail | null = null;

  constructor(private readonly study: string, private readonly place: HTMLElement, private readonly changed: () => void) {
    void me().then((who) => {
      this.may = who.can.includes("run");
      this.cluster = who.cluster;
      if (this.last) this.show(this.last);
    }).catch(() => null);
  }

  show(study: StudyDetail): void {
    this.last = study;
    const key = `${study.state.word}|${study.archived}|${this.may}|${this.cluster}|${study.job?.id ?? ""}`;
    if (key === this.shown) return; // a button may have the focus
    this.shown = key;
    const held = this.place.contains(document.activeElement);
    put(this.place, ...(this.may ? this.buttons(study) : []), this.log(study), this.may && this.cluster ? this.links() : null, this.downloads(study));
    if (held) this.place.querySelector<HTMLElement>("button, a, summary")?.focus();
  }

  private buttons(study: StudyDetail): HTMLElement[] {
    const found: HTMLElement[] = [];
    if (this.cluster && GOING.includes(study.state.word)) {
      found.push(this.button("Stop", "stop", true, `Stop ${this.study}?`, "What is trained is kept: the study can go on from there at any time."));
    }
    if (this.cluster && ENDED.includes(study.state.word)) {
      found.push(this.button("Go on", "continue", false, `Go on with ${this.study}?`, "It is submitted again and goes on from what the store holds. Nothing is trained twice."));
    }
    if (study.archived) found.push(this.button("Take out of the archive", "unarchive", false, `Take ${this.study} out of the archive?`, "The list of studies shows it again."));
    else if (!GOING.includes(study.state.word)) found.push(this.button("Archive", "archive", false, `Archive ${this.study}?`, "The list of studies hides it. Nothing is deleted, and it can be taken out again."));
    return found;
  }

  private button(label: string, action: string, serious: boolean, title: string, body: string): HTMLButtonElement {
    const button = h("button", { type: "button", class: serious ? "serious" : null }, label);
    button.addEventListener("click", () => {
      const key = randomKey(); // one a question: a second press after a lost answer does nothing twice
      void ask({ title, body: [h("p", {}, body)], action: label, serious, run: () => this.act(action, key) }).then((done) => {
        if (done) this.changed();
        (button.isConnected ? button : this.place.querySelector<HTMLElement>("button, a, summary"))?.focus();
      });
    });
    return button;
  }

  private async act(action: string, key: string): Promise<void> {
    await send("POST", `${studyPath(this.study)}/${action}`, undefined, action === "continue" ? { "Idempotency-Key": key } : {});
  }

  private log(study: StudyDetail): HTMLElement | null {
    return study.job && h("a.button", { href: page(`/jobs/${encodeURIComponent(study.job.id)}`) }, "Log");
  }

  private links(): HTMLElement {
    return h("a.button", { href: page("/submit", { from: this.study }) }, "Copy to a new study");
  }

  private downloads(study: StudyDetail): HTMLElement {
    const base = studyPath(this.study);
    const status = h("p.note", { role: "status" });
    const item = (label: string, path: string, hint = "") => {
      const link = h("a", { href: api(path), download: true }, label);
      link.addEventListener("click", (event) => {
        event.preventDefault();
        void fetched(api(path), status, label);
      });
      return h("li", {}, link, hint ? h("span.note", {}, ` ${hint}`) : null);
    };
    const both = (name: string) => h("li", {}, `${name}: `, ...[["csv", "CSV"], ["parquet", "Parquet"]].flatMap(([kind, label]) => [plainLink(label as string, api(`${base}/tables/${name}`, { format: kind })), " "]));
    const figures = (name: string) => h("li", {}, `${name}: `, ...["svg", "png"].flatMap((kind) => [awaited(kind.toUpperCase(), api(`${base}/figures/${name}.${kind}`), status), " "]));
    const menu = h(
      "details.menu", {}, h("summary.button", {}, "Download"),
      h("div.menu-body", {},
        h("ul", {}, h("li", {}, h("a", { href: api(`${base}/report`), target: "_blank", rel: "noopener" }, "Report"), h("span.note", {}, " HTML")), item("Bundle", `${base}/bundle`, "all of the study, .tar.gz"), item("LaTeX", `${base}/latex`, "tables for a paper")),
        h("p.menu-title", {}, "Tables"), h("ul", {}, ...["trials", "epochs", "charges", "runs", ...(study.failed_trials ? ["failures"] : []), ...(study.exams.length ? ["exams"] : [])].map(both)),
        h("p.menu-title", {}, "Figures"), h("ul", {}, ...["anytime", "curves", "parallel", "importance"].map(figures)), status),
    );
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary")?.focus();
    });
    document.addEventListener("pointerdown", (event) => {
      if (menu.open && !menu.contains(event.target as Node)) menu.open = false;
    });
    return menu;
  }
}

function plainLink(label: string, href: string): HTMLAnchorElement {
  return h("a", { href, download: true }, label);
}

function awaited(label: string, href: string, status: HTMLElement): HTMLAnchorElement {
  const link = plainLink(label, href);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    void fetched(href, status, label);
  });
  return link;
}

// Waits until what is made on demand is there, and lets the browser save it.
async function fetched(href: string, status: HTMLElement, label: string): Promise<void> {
  try {
    for (;;) {
      const answer = await fetch(href, { credentials: "same-origin" });
      if (answer.status === 202) {
        put(status, `${label} is being made …`);
        await pause(1000 * Number(answer.headers.get("Retry-After") ?? 1));
        continue;
      }
      if (!answer.ok) throw new ApiProblem(answer.status, await reason(answer));
      const named = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
      const name = named ? decodeURIComponent(named) : href.split("/").pop()?.split("?")[0] ?? "download";
      const url = URL.createObjectURL(await answer.blob());
      const link = h("a", { href: url, download: name });
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
      put(status, `${label} is downloaded.`);
      announce(`${label} is downloaded.`);
      return;
    }
  } catch (error) {
    put(status, sentenceOf(error));
  }
}

async function reason(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { detail?: string };
    return body.detail ?? `The service answered ${answer.status}.`;
  } catch {
    return `The service answered ${answer.status}.`;
  }
}
