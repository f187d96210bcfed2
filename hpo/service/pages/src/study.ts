// One study: what is known of it, renewed in place as it runs.

import { ApiProblem, get, page, studyPath } from "./api.js";
import { announce, byId, h, put } from "./dom.js";
import { listen } from "./events.js";
import { frame, trouble } from "./frame.js";
import { AnytimePanel } from "./study/anytime.js";
import type { StudyDetail } from "./study/answers.js";
import { StudyActions } from "./study/actions.js";
import { CurvesPanel } from "./study/curves.js";
import { FailuresPanel } from "./study/failures.js";
import { StudyHeader } from "./study/header.js";
import { ImportancePanel } from "./study/importance.js";
import { ExamsPanel, LedgerPanel } from "./study/ledger.js";
import { MethodsPanel } from "./study/methods.js";
import { ParallelPanel } from "./study/parallel.js";
import { RecordPanel } from "./study/record.js";
import { Tabs } from "./study/tabs.js";
import { TrialsPanel } from "./study/trials_panel.js";
import { View } from "./study/view.js";
import { count } from "./format.js";

class StudyPage {
  private readonly view = new View();
  private readonly header: StudyHeader;
  private readonly actions: StudyActions;
  private readonly problem = h("div", { hidden: true });
  private readonly tabs: Tabs;
  private readonly trials: TrialsPanel;
  private readonly show: Record<string, (study: StudyDetail) => void>;
  private readonly shown = new Map<string, string>(); // tab -> what it showed last
  private study: StudyDetail | null = null;

  constructor(private readonly root: HTMLElement, private readonly name: string) {
    this.header = new StudyHeader(name);
    this.actions = new StudyActions(name, this.header.actions, () => void this.read());
    const anytime = new AnytimePanel(name, this.view);
    const methods = new MethodsPanel(name);
    const ledger = new LedgerPanel(name);
    const exams = new ExamsPanel(name);
    this.trials = new TrialsPanel(name, this.view);
    const curves = new CurvesPanel(name, this.view);
    const parallel = new ParallelPanel(name, this.view, this.trials);
    const importance = new ImportancePanel(name, this.view, this.trials);
    const failures = new FailuresPanel(name, this.view);
    const record = new RecordPanel(name);
    methods.on((method) => anytime.highlight(method), (pinned) => anytime.unfold(pinned));
    anytime.onpoint((method) => methods.highlight(method));
    this.tabs = new Tabs([
      { name: "overview", label: "Overview", panel: h("div.overview", {}, anytime.element, methods.element, ledger.element, exams.element) },
      { name: "trials", label: "Trials", panel: h("div", {}) },
      { name: "curves", label: "Curves", panel: h("div", {}, curves.element) },
      { name: "parallel", label: "Parallel", panel: h("div", {}, parallel.element) },
      { name: "importance", label: "Importance", panel: h("div", {}, importance.element) },
      { name: "failures", label: "Failures", panel: h("div", {}, failures.element) },
      { name: "record", label: "Record", panel: h("div", {}, record.element) },
    ], this.view);
    const withTrials = (other: (study: StudyDetail) => void) => (study: StudyDetail) => {
      this.placeTrials();
      this.trials.show(study.mode);
      other(study);
    };
    this.show = {
      overview: (study) => {
        void anytime.show(study);
        void methods.show(study);
        void ledger.show(study);
        exams.show(study);
        const beside = !exams.element.hidden && !exams.broad;
        ledger.widen(!beside);
      },
      trials: withTrials(() => undefined),
      parallel: withTrials((study) => void parallel.show(study)),
      importance: withTrials((study) => void importance.show(study)),
      curves: (study) => void curves.show(study),
      failures: () => void failures.show(),
      record: (study) => void record.show(study),
    };
    this.view.onchange(() => {
      this.tabs.mark();
      this.renew();
    });
    document.addEventListener("visibilitychange", () => this.renew());
  }

  async read(): Promise<void> {
    try {
      this.take(await get<StudyDetail>(studyPath(this.name)));
      trouble(this.problem, null);
    } catch (error) {
      if (!this.study) this.root.replaceChildren(h("h1", {}, this.name), this.problem);
      trouble(this.problem, error, () => void this.read());
      if (error instanceof ApiProblem && error.status === 404) this.problem.append(h("a", { href: page("/") }, "All studies"));
    }
  }

  // Follows the study; the whole of it comes with each event, the tables are asked for again where they are looked at.
  follow(): void {
    listen(`${studyPath(this.name)}/events`, {
      study: (data) => this.take(data as StudyDetail),
      made: () => {
        this.shown.delete("overview");
        void this.read();
      },
      gone: () => {
        announce(`${this.name} is no longer in the store.`);
        trouble(this.problem, new Error("This study is no longer in the store; this is its last known state."));
      },
      trouble: (data) => trouble(this.problem, new Error(String((data as { detail?: unknown }).detail ?? "The store cannot be read."))),
    }, () => void this.read());
  }

  private take(study: StudyDetail): void {
    if (!this.study) put(this.root, this.header.element, this.problem, this.tabs.list, this.tabs.panels);
    this.study = study;
    this.header.show(study);
    this.actions.show(study);
    this.tabs.badge("trials", study.trials ? count(study.trials) : "");
    this.tabs.badge("failures", study.failed_trials ? count(study.failed_trials) : "");
    this.renew();
  }

  // Shows the open tab again where the study or what is asked of it has changed, and somebody looks.
  private renew(): void {
    const study = this.study;
    if (!study || document.hidden) return;
    const tab = this.tabs.current;
    const state = `${study.version}|${location.search}`;
    if (this.shown.get(tab) === state) {
      if (["trials", "parallel", "importance"].includes(tab)) this.placeTrials();
      return;
    }
    this.shown.set(tab, state);
    this.show[tab]?.(study);
  }

  // One table of trials for three tabs: it moves to the open one with its selection, and filters hold for all.
  private placeTrials(): void {
    const panel = byId(`panel-${this.tabs.current}`);
    if (this.trials.element.parentElement !== panel) panel.append(this.trials.element);
  }
}

frame();
const root = byId("study");
const shown = new StudyPage(root, root.dataset["study"] ?? "");
void shown.read().then(() => shown.follow());
