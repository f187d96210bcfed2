// One trial: its configuration, its curve, who asked for it and when, where it was trained.

import { get, page, studyPath, ApiProblem } from "./api.js";
import { byId, copyButton, h, put } from "./dom.js";
import { listen } from "./events.js";
import { count, duration, moment, number } from "./format.js";
import { frame, trouble } from "./frame.js";
import type { StudyDetail, TrialAnswer } from "./study/answers.js";
import { asPython, asYaml } from "./study/config_text.js";
import { methodName } from "./study/looks.js";
import { cell, figure, row, scrolled, type Head } from "./study/tables.js";
import { TrialCurve } from "./study/trial_curve.js";
import { shown } from "./study/trials_cells.js";

class TrialPage {
  private readonly problem = h("div", { hidden: true });
  private readonly curve = new TrialCurve();
  private readonly head = h("div.trial-top");
  private readonly failed = h("div.trouble", { hidden: true });
  private readonly facts = h("dl.facts");
  private readonly config = h("section.panel", { "aria-labelledby": "config-heading" });
  private readonly asked = h("section.panel.wide", { "aria-labelledby": "asked-heading" });
  private readonly attempts = h("section.panel", { "aria-labelledby": "attempts-heading", hidden: true });
  private version = "";
  private placed = false;

  constructor(private readonly root: HTMLElement, private readonly study: string, private readonly trial: string) {
    const crumb = h("p.crumb", {}, h("a", { href: page("/") }, "Studies"), " / ", h("a", { href: page(studyPath(study)) }, study), " / ", h("a", { href: `${page(studyPath(study))}#trials` }, "Trials"));
    this.head.append(crumb, h("h1", {}, "Trial ", h("code", {}, trial)));
  }

  async show(study: StudyDetail): Promise<void> {
    if (study.version === this.version) return;
    try {
      const found = await get<TrialAnswer>(`${studyPath(this.study)}/trials/${encodeURIComponent(this.trial)}`);
      this.version = study.version;
      trouble(this.problem, null);
      this.draw(found, study);
    } catch (error) {
      this.fail(error, study);
    }
  }

  fail(error: unknown, study?: StudyDetail): void {
    if (!this.placed) put(this.root, this.head, this.problem);
    trouble(this.problem, error, () => void (study ? this.show(study) : begin()));
    if (error instanceof ApiProblem && error.status === 404) this.problem.append(h("a", { href: page(studyPath(this.study)) }, this.study));
  }

  private place(): void {
    if (this.placed) return;
    this.placed = true;
    put(this.root, this.head, this.problem, this.failed, this.facts, h("div.overview", {}, this.config, this.curve.element, this.asked, this.attempts));
  }

  private draw(found: TrialAnswer, study: StudyDetail): void {
    this.place();
    this.failed.hidden = !found.failure;
    if (found.failure) put(this.failed, h("p", {}, h("strong", {}, `Failed after ${count(found.failure.epoch)} epochs (${found.failure.kind}): `), found.failure.reason ?? "no reason was given"));
    const facts: [string, string][] = [
      ["status", found.status], [`best ${study.metric}`, number(found.best_value)], ["at epoch", count(found.best_epoch)], ["epochs trained", count(found.epochs)],
      ["training", duration(found.seconds)], ["last worker", found.worker ?? "–"], ["checkpoint", found.checkpoint ?? "none is kept"],
    ];
    put(this.facts, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    this.drawConfig(found, study);
    this.curve.show(found, study);
    this.drawAsked(found, study);
    this.drawAttempts(found);
  }

  private drawConfig(found: TrialAnswer, study: StudyDetail): void {
    if (this.config.childElementCount) return; // a trial is its configuration: it never changes
    const given = study.space.filter((one) => !(one.name in found.config));
    const why = (name: string) => {
      const condition = given.find((one) => one.name === name)?.condition;
      return condition ? `only where ${Object.entries(condition).map(([other, values]) => `${other} is ${values.join(" or ")}`).join(" and ")}` : "not set";
    };
    const rows = [...Object.entries(found.config).map(([name, value]) => [name, shown(value)] as const), ...given.map((one) => [one.name, `– (${why(one.name)})`] as const)];
    put(
      this.config, h("div.panel-head", {}, h("h2", { id: "config-heading" }, "Configuration"), h("div.tools", {}, copyButton(() => asYaml(found.config), "Copy as YAML"), copyButton(() => asPython(found.config), "Copy as Python"))),
      h("table.config", {}, h("tbody", {}, ...rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td.number", {}, value))))),
    );
  }

  private drawAsked(found: TrialAnswer, study: StudyDetail): void {
    const heads: Head[] = [["run"], ["number", true], ["status"], ["epochs charged", true], [`best ${study.metric}`, true], ["at epoch", true], ["virtual time", true], ["order of events", true]];
    const runs = [...found.runs].sort((a, b) => (a.first_order ?? Infinity) - (b.first_order ?? Infinity));
    const rows = runs.map((one) => row(
      [methodName(study.looks, one.method), h("span.note", {}, ` seed ${one.seed}`)], figure(count(one.number)), cell(one.status, one.incumbent ? h("strong", {}, ", won the run") : null),
      figure(count(one.epochs)), figure(number(one.best_value)), figure(count(one.best_epoch)), figure(between(one.began, one.ended)), figure(between(one.first_order, one.last_order)),
    ));
    const said = runs.length > 1 ? "It was trained once; each run that asked for it was charged. " : "";
    const note = h("p.note", {}, `${said}Virtual time is in ticks of the run's own clock: an epoch takes one, or what it costs.`);
    put(this.asked, h("h2", { id: "asked-heading" }, "Asked for by"), scrolled("#asked-heading", heads, rows), note);
  }

  private drawAttempts(found: TrialAnswer): void {
    this.attempts.hidden = !found.attempts.length;
    if (!found.attempts.length) return;
    const heads: Head[] = [["epoch"], ["attempt", true], ["worker"], ["took", true], ["finished"]];
    const rows = found.attempts.map((one) => row(count(one.epoch), figure(count(one.attempt)), cell(one.worker ?? "–"), figure(duration(one.seconds)), cell(moment(one.finished))));
    const note = h("p.note", {}, "None of these is charged: they count as wasted.");
    put(this.attempts, h("h2", { id: "attempts-heading" }, "Trained again after a fault"), scrolled("#attempts-heading", heads, rows), note);
  }
}

function between(from: number | null, to: number | null): string {
  if (from === null) return "–";
  return to === null || to === from ? number(from) : `${number(from)} to ${number(to)}`;
}

frame();
const root = byId("trial");
const { study = "", trial = "" } = root.dataset;
const made = new TrialPage(root, study, trial);

async function begin(): Promise<void> {
  try {
    await made.show(await get<StudyDetail>(studyPath(study)));
  } catch (error) {
    made.fail(error);
  }
}

void begin().then(() => listen(`${studyPath(study)}/events`, { study: (data) => void made.show(data as StudyDetail) }, () => void begin()));
