// Submitting a study: the editor, what the check says, the plan beside it, and one question before it is sent.

import { ApiProblem, get, isAbort, page, send, sentenceOf, randomKey } from "./api.js";
import { ask } from "./dialog.js";
import { announce, byId, debounced, h, put } from "./dom.js";
import { editor, type Editor } from "./editor.js";
import { counted } from "./format.js";
import { frame, me } from "./frame.js";
import type { Schema } from "./schema.js";
import { options, type SubmitOptions } from "./submit_options.js";
import { planRows, planView, type Estimate, type Plan } from "./submit_plan.js";
import { problemList, type Problem } from "./submit_problems.js";
import { beginning, starts } from "./submit_starts.js";

const KEPT = "hpo-draft"; // in this tab's storage: a reload loses nothing
const PAUSE = 500; // milliseconds without a key before the check

interface Checked {
  ok: boolean;
  problems: Problem[];
  plan: Plan | null;
  estimate: Estimate | null;
  study: string | null;
}

interface Submitted {
  study: string;
  job: string;
  url: string;
}

class SubmitPage {
  private schema: Schema | null = null;
  private checked: Checked | null = null;
  private checking: AbortController | null = null;
  private key: { of: string; value: string } | null = null;
  private may = "Whether you may submit is being asked for.";
  private readonly editor: Editor;
  private readonly options: SubmitOptions;
  private readonly findings = h("div.findings");
  private readonly plan = h("div");
  private readonly button = h("button.primary", { type: "button", disabled: true }, "Submit");
  private readonly why = h("p.note", { id: "why" });

  constructor(text: string) {
    const check = debounced(() => void this.check(), PAUSE);
    this.editor = editor(text, () => this.schema, () => {
      sessionStorage.setItem(KEPT, this.editor.text());
      this.checked = null;
      this.showButton();
      check();
    });
    this.options = options(check);
    this.button.setAttribute("aria-describedby", "why");
    this.button.addEventListener("click", () => void this.submit());
    const left = h(
      "section.writing",
      { "aria-label": "Study file" },
      starts(() => this.editor.text(), (next) => this.editor.setText(next)),
      this.editor.element,
      h("p.note", { id: "editor-keys" }, h("kbd", {}, "Ctrl"), "+", h("kbd", {}, "Space"), " completes. ", h("kbd", {}, "Tab"), " indents; press ", h("kbd", {}, "Esc"), " first to leave the editor by it."),
    );
    const right = h("section.beside", { "aria-label": "Check and plan" }, this.findings, this.plan, this.options.element, h("div.send", {}, this.button, this.why));
    byId("submit").append(h("div.submitting", {}, left, right));
  }

  start(): void {
    void get<Schema>("/drafts/schema").then((schema) => (this.schema = schema)).catch(() => null); // then without completion
    void this.check();
    void me().then((who) => {
      if (!who.cluster) this.may = "This service has no cluster: it was started without --address, so it checks studies, but runs none.";
      else if (!who.can.includes("run")) this.may = `The role ${who.role} may not submit studies; ask an administrator for the role run.`;
      else this.may = "";
      this.showButton();
    });
  }

  private async check(): Promise<void> {
    this.checking?.abort();
    const checking = (this.checking = new AbortController());
    const text = this.editor.text();
    this.findings.setAttribute("aria-busy", "true");
    try {
      const workers = this.options.values()["workers"];
      const checked = await send<Checked>("POST", "/drafts/check", { text, ...(workers ? { workers } : {}) }, {}, checking.signal);
      if (text === this.editor.text()) this.show(checked);
    } catch (error) {
      if (isAbort(error)) return;
      put(this.findings, h("div.trouble", {}, h("p", {}, sentenceOf(error)), h("button", { type: "button", onclick: () => void this.check() }, "Check again")));
    }
    this.findings.removeAttribute("aria-busy");
  }

  private show(checked: Checked): void {
    const before = this.checked;
    this.checked = checked;
    this.editor.show(checked.problems);
    put(this.findings, problemList(checked.problems, (problem) => this.editor.goTo(problem)));
    put(this.plan, checked.plan ? planView(checked.plan, checked.estimate) : null);
    const said = checked.ok ? "The study is valid" : counted(checked.problems.length, "problem");
    if (!before || before.ok !== checked.ok) announce(said);
    this.showButton();
  }

  private showButton(): void {
    const withFiles = this.options.files() !== null; // the check does not see them: the submission does
    const ready = this.checked !== null && (this.checked.ok || withFiles);
    this.button.disabled = !ready || this.may !== "";
    put(this.button, this.checked?.study && ready ? `Submit ${this.checked.study} …` : "Submit …");
    const missing = this.checked ? "Mend the problems first." : "The study is being checked.";
    put(this.why, this.may || (ready ? (withFiles ? "It is checked once more with its files." : "") : missing));
  }

  private async submit(): Promise<void> {
    const checked = this.checked;
    if (!checked) return;
    const text = this.editor.text();
    const body = this.options.values();
    const files = this.options.files();
    let answer: Submitted | null = null;
    await ask({
      title: `Submit ${checked.study ?? "this study"}?`,
      body: [checked.plan ? planRows(checked.plan, checked.estimate) : null, h("p.note", {}, "It runs on the cluster of this service, in its store, in your name.")],
      action: "Submit",
      run: async () => {
        const of = JSON.stringify([text, body, files?.name, files?.size, files?.lastModified]);
        if (this.key?.of !== of) this.key = { of, value: randomKey() }; // the same again is the same submission
        const sent = files ? form(text, files, body) : { text, ...body };
        try {
          answer = await send<Submitted>("POST", "/studies", sent, { "Idempotency-Key": this.key.value });
        } catch (error) {
          const problems = error instanceof ApiProblem ? error.body["problems"] : undefined;
          if (Array.isArray(problems)) this.show({ ok: false, problems: problems as Problem[], plan: null, estimate: null, study: checked.study });
          throw error;
        }
      },
    });
    const submitted = answer as Submitted | null;
    if (!submitted) return;
    sessionStorage.removeItem(KEPT);
    location.assign(page(submitted.url));
  }
}

function form(text: string, files: File, values: Record<string, unknown>): FormData {
  const found = new FormData();
  found.set("study", text);
  for (const [name, value] of Object.entries(values)) found.set(name, String(value));
  found.set("files", files);
  return found;
}

frame();
void beginning(sessionStorage.getItem(KEPT)).then((text) => new SubmitPage(text).start());
