// The log of a job: its end first, then what is written, as long as the reader stays at the end.

import { api, get, page, studyPath } from "./api.js";
import { byId, h, put } from "./dom.js";
import { listen } from "./events.js";
import { moment } from "./format.js";
import { frame, me, trouble } from "./frame.js";

interface Job {
  id: string;
  series: string;
  attempt: number;
  study: string | null;
  studies: string[];
  owner: string | null;
  state: string;
  done: boolean;
  started: number | null;
  ended: number | null;
  message: string;
  page: string;
}

interface Piece {
  text: string;
  next: number;
  ended: boolean;
}

const TAIL = 100_000; // bytes to begin with
const MOST = 2_000_000; // characters on the page; what is older is cut off

class LogPage {
  private readonly job: string;
  private readonly path: string;
  private readonly facts = h("dl.facts");
  private readonly problem = h("div", { hidden: true });
  private readonly text = h("pre.log-text", { tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" });
  private readonly follow = h("input", { type: "checkbox", id: "follow" });
  private readonly whole = h("button", { type: "button", onclick: () => void this.begin(0) }, "From the beginning");
  private readonly reading = h("div");
  private next = 0;
  private stop: () => void = () => undefined;

  constructor() {
    const place = byId("log");
    this.job = place.dataset["job"] ?? "";
    this.path = `/jobs/${encodeURIComponent(this.job)}`;
    this.follow.checked = true;
    this.follow.addEventListener("change", () => this.toEnd());
    this.text.addEventListener("scroll", () => {
      this.follow.checked = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 30;
    });
    const tools = h("div.log-tools", {}, h("span.check", {}, this.follow, h("label", { for: "follow" }, "Stay at the end")), this.whole, h("a.button", { href: api(`${this.path}/log`), target: "_blank", rel: "noopener" }, "As JSON"));
    this.reading.append(tools, this.text);
    place.append(this.facts, this.problem, this.reading);
  }

  async start(): Promise<void> {
    if (!(await me()).cluster) {
      this.reading.hidden = true;
      trouble(this.problem, new Error("This service has no cluster: it was started without --address, so it knows no jobs."));
      return;
    }
    await this.about();
    await this.begin(-TAIL);
  }

  private async about(): Promise<void> {
    try {
      const job = await get<Job>(this.path);
      const fact = (name: string, ...value: (Node | string)[]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
      const studies = (job.studies?.length ? job.studies : [job.study]).filter((one): one is string => Boolean(one));
      put(
        this.facts,
        fact("study", ...studies.flatMap((one, i) => [i ? ", " : "", h("a", { href: page(studyPath(one)) }, one)])),
        fact("state", job.state),
        fact("attempt", String(job.attempt)),
        fact("owner", job.owner ?? "–"),
        fact("submitted", moment(job.started)),
        job.ended ? fact("ended", moment(job.ended)) : null,
        /^https?:/.test(job.page) ? fact("dashboard", h("a", { href: job.page, rel: "noopener noreferrer" }, "Ray")) : null,
      );
      if (job.message && job.done) this.facts.after(h("p.note", {}, job.message));
    } catch (error) {
      trouble(this.problem, error);
    }
  }

  // Reads from an offset (negative: so many bytes before the end) to the end, then follows.
  private async begin(offset: number): Promise<void> {
    this.stop();
    this.whole.hidden = offset === 0;
    put(this.text, "");
    try {
      let piece = await get<Piece>(`${this.path}/log`, { query: { offset } });
      if (piece.next === new TextEncoder().encode(piece.text).length) this.whole.hidden = true; // that is all of it
      this.add(piece);
      while (piece.text && !piece.ended) {
        piece = await get<Piece>(`${this.path}/log`, { query: { offset: this.next } });
        this.add(piece);
      }
      if (!piece.ended) this.listen();
    } catch (error) {
      trouble(this.problem, error, () => void this.begin(offset));
    }
  }

  private listen(): void {
    this.stop = listen(() => `${this.path}/log/follow?offset=${this.next}`, {
      log: (data) => this.add(data as Piece),
      end: () => {
        this.stop();
        byId("connection").hidden = true;
        void this.about();
      },
    });
  }

  private add(piece: Piece): void {
    this.next = piece.next;
    if (!piece.text) return;
    this.text.append(piece.text);
    while ((this.text.textContent?.length ?? 0) > MOST && this.text.firstChild) this.text.firstChild.remove();
    if (this.follow.checked) this.toEnd();
  }

  private toEnd(): void {
    if (this.follow.checked) this.text.scrollTop = this.text.scrollHeight;
  }
}

frame();
void new LogPage().start();
