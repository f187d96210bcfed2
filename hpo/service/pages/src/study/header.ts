// The top of a study: its state, the verdict, what was charged beside what was trained, the command that goes on.

import { page, studyPath } from "../api.js";
import { announce, copyButton, h, put, vary } from "../dom.js";
import { count, counted, number, percent, roughly } from "../format.js";
import { stateBadge, timeElement } from "../state.js";
import { drawVerdict } from "../verdict.js";
import type { StudyDetail } from "./answers.js";

const LONG = 480; // letters of a verdict that is shown whole

const HOW: Record<string, string> = { queued: "since", starting: "began", running: "began", "no sign of life": "last seen" };

export class StudyHeader {
  readonly element = h("div.study-top");
  readonly actions = h("div.actions");
  private readonly badge = h("span");
  private readonly since = h("time");
  private readonly how = h("span");
  private readonly sentence = h("p.state-sentence");
  private readonly verdict = h("p.verdict");
  private readonly trouble = h("p.trouble", { hidden: true });
  private readonly command = h("div.command", { hidden: true });
  private readonly code = h("code");
  private readonly charged = new Meter("Charged");
  private readonly trained = new Meter("Trained");
  private readonly facts = h("dl.facts");
  private readonly updated = h("time");
  private readonly more = h("button.quiet", { type: "button", hidden: true }, "Whole verdict");
  private unfolded = false;
  private commandText = "";
  private word = "";

  constructor(private readonly study: string) {
    this.more.addEventListener("click", () => {
      this.unfolded = true;
      this.fold(false);
      this.verdict.tabIndex = -1;
      this.verdict.focus();
    });
    const title = h("div.title", {}, h("h1", {}, study), h("span.state-line", {}, this.badge, h("span.note", {}, this.how, this.since)));
    const crumb = h("p.crumb", {}, h("a", { href: page("/") }, "Studies"));
    this.command.append(h("span.note", {}, "To go on:"), this.code, copyButton(() => this.commandText));
    this.element.append(
      crumb, h("div.title-line", {}, title, this.actions), this.sentence, this.trouble, this.verdict, this.more, this.command,
      h("div.meters", {}, this.charged.element, this.trained.element), this.facts,
    );
  }

  show(study: StudyDetail): void {
    stateBadge(study.state, this.badge);
    timeElement(study.state.since, this.since);
    put(this.how, `${HOW[study.state.word] ?? ""} `);
    (this.since.parentElement as HTMLElement).hidden = study.state.since === null;
    const sentence = whole(study.state.sentence);
    put(this.sentence, sentence);
    const said = [study.state.word, study.verdict_sentence ?? "", study.state.word === "complete" ? "every run is over" : ""];
    this.sentence.hidden = said.some((one) => whole(one) === sentence);
    if (this.word && this.word !== study.state.word) announce(`${study.study}: ${study.state.word}. ${sentence}`);
    this.word = study.state.word;
    document.title = `${study.state.word === "complete" ? "" : `${percent(study.progress)} `}${study.study} – HPO Arena`;
    const known = [sentence, whole(study.verdict_sentence ?? "")];
    const problems = [study.failure, study.failed_exams, ...study.warnings].filter((one) => one !== null).map(whole).filter((one) => !known.includes(one));
    this.trouble.hidden = !problems.length;
    put(this.trouble, problems.join(" "));
    this.verdict.hidden = !study.verdict_sentence && study.state.word === "failed";
    const verdict = study.verdict_sentence ?? unsaid(study);
    drawVerdict(this.verdict, verdict);
    this.fold(verdict.length > LONG && !this.unfolded);
    this.verdict.classList.toggle("open", !study.verdict_sentence);
    this.commandText = study.state.command ?? "";
    this.command.hidden = !this.commandText;
    put(this.code, this.commandText);
    this.drawMeters(study);
    this.drawFacts(study);
  }

  // Twenty methods make a verdict of many lines: it is cut until somebody asks for the rest.
  private fold(folded: boolean): void {
    this.verdict.classList.toggle("folded", folded);
    this.more.hidden = !folded;
  }

  private drawMeters(study: StudyDetail): void {
    const { unit, charged, total } = study.budget;
    this.charged.show(total ? charged / total : study.progress ?? 0, [
      `${cut(charged)} of ${total === null ? "–" : cut(total)} ${unit}`, `${count(study.runs_complete)} of ${counted(study.runs, "run")} complete`,
    ], percent(study.progress));
    const { trained_epochs: trained, left_epochs: left, epochs_per_second: speed, seconds_left: seconds, wasted_epochs: wasted } = study.physical;
    const said = [`${counted(trained, "epoch")}${wasted ? `, ${count(wasted)} more again after faults` : ""}`];
    const now = study.occupancy;
    const live = study.state.word === "running" || study.state.word === "starting";
    if (live && now) said.push(`${count(now.busy)} of ${counted(now.slots, "slot")} busy${now.starting ? `, ${count(now.starting)} starting` : ""}${now.waiting ? `, ${count(now.waiting)} waiting` : ""}`);
    if (live && speed) said.push(`${number(speed, 2)} epochs a second`);
    const share = left === null ? (study.state.word === "complete" ? 1 : null) : trained / Math.max(1, trained + left);
    this.trained.show(share, said, live && seconds !== null ? `about ${roughly(seconds)} left` : "");
  }

  private drawFacts(study: StudyDetail): void {
    const best = study.best;
    const link = best?.trial ? h("a", { href: page(`${studyPath(this.study)}/trials/${encodeURIComponent(best.trial)}`) }, number(best.value)) : number(best?.value);
    timeElement(study.updated, this.updated);
    const facts: [string, (Node | string)[]][] = [
      [`best ${study.metric}`, best ? [link as Node | string, " ", h("span.note", { title: best.method }, best.method)] : ["–"]],
      ["task", [study.task ?? study.trainable ?? "–"]],
      ["methods × seeds", [`${count(study.methods.length)} × ${count(study.seeds)}`]],
      ["budget a run", [study.budget.a_run === null ? "–" : `${cut(study.budget.a_run)} ${study.budget.unit}`]],
      ["trials", [`${count(study.trials)}${study.failed_trials ? `, ${study.failed_trials === study.trials ? "all" : count(study.failed_trials)} failed` : ""}`]],
      ["owner", [study.owner ?? "–"]],
      ["changed", [this.updated]],
    ];
    const key = JSON.stringify([best, study.task, study.methods.length, study.seeds, study.budget.a_run, study.trials, study.failed_trials, study.owner]);
    if (this.facts.dataset["of"] === key) return; // a link in it may have the focus
    this.facts.dataset["of"] = key;
    put(this.facts, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value))));
  }
}

// A sentence as a page has it: a capital letter first, a full stop at the end.
function whole(text: string): string {
  if (!text) return "";
  const shown = text[0]!.toUpperCase() + text.slice(1);
  return /[.!?]$/.test(shown) ? shown : `${shown}.`;
}

function unsaid(study: StudyDetail): string {
  if (study.methods.length < 2) return "One method: there is nothing to compare.";
  if (!study.runs_complete) return "No verdict yet: it comes with the first complete runs.";
  return "The verdict is being worked out.";
}

// Cut, never rounded up: what is not charged must not seem to be.
function cut(amount: number): string {
  return (Math.floor(amount * 100 + 1e-6) / 100).toLocaleString("en");
}

// A bar with its figures beside it; the bar itself says nothing more, so only the figures are read out.
class Meter {
  readonly element: HTMLElement;
  private readonly bar = h("span.meter", { "aria-hidden": "true" }, h("span.charged"));
  private readonly end = h("span.end");
  private readonly said = h("p.figures");

  constructor(name: string) {
    this.element = h("div.spent", {}, h("div.spent-head", {}, h("span.of", {}, name), this.end), this.bar, this.said);
  }

  show(share: number | null, said: string[], end: string): void {
    this.bar.hidden = share === null;
    vary(this.bar, "--share", Math.min(1, Math.max(0, share ?? 0)));
    put(this.end, end);
    put(this.said, said.join(" · "));
  }
}
