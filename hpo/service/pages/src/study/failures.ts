// Failures by reason, with their trials.

import { get, studyPath } from "../api.js";
import { h, keyed, put } from "../dom.js";
import { counted } from "../format.js";
import { trouble } from "../frame.js";
import type { Failures } from "./answers.js";
import { filtersOf } from "./groups.js";
import { trialPage } from "./trials_cells.js";
import type { View } from "./view.js";

type Group = Failures["groups"][number];

const KINDS: Record<string, string> = {
  invalid: "an impossible configuration", diverged: "the training diverged", memory: "out of memory", error: "an error in the training code", lost: "the worker was lost",
};

export class FailuresPanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "failures-heading" });
  private readonly problem = h("div", { hidden: true });
  private readonly said = h("p");
  private readonly list = h("ul.failures");

  constructor(private readonly study: string, private readonly view: View) {
    this.element.append(h("h2", { id: "failures-heading" }, "Failures"), this.problem, this.said, this.list);
  }

  async show(): Promise<void> {
    let found: Failures;
    try {
      found = await get<Failures>(`${studyPath(this.study)}/failures`);
      trouble(this.problem, null);
    } catch (error) {
      trouble(this.problem, error, () => void this.show());
      return;
    }
    put(this.said, found.total ? `${counted(found.total, "trial")} failed, for ${counted(found.groups.length, "reason")}. Reasons that differ in numbers and names alone are counted together.` : "No trial has failed.");
    keyed(this.list, found.groups, (group) => `${group.kind}|${group.reason}`, (group) => this.make(group), (item, group) => this.fill(item, group));
  }

  private make(group: Group): HTMLLIElement {
    const show = h("button.quiet", { type: "button" }, "Show in the table");
    show.addEventListener("click", () => {
      const known = this.list.querySelector(`[data-key="${CSS.escape(`${group.kind}|${group.reason}`)}"]`) as HTMLElement | null;
      this.view.set({ where: [], search: "" });
      this.view.filters = filtersOf(group, JSON.parse(known?.dataset["trials"] ?? "[]") as string[], Number(known?.dataset["count"] ?? group.count));
      this.view.tab = "trials";
    });
    return h("li.card", {}, h("div.failure-head", {}, h("strong"), h("span.chip", {}, group.kind), h("span.note", {}, KINDS[group.kind] ?? ""), show), h("p.reason"), h("p.note.links"));
  }

  private fill(item: HTMLLIElement, group: Group): void {
    item.dataset["trials"] = JSON.stringify(group.trials);
    item.dataset["count"] = String(group.count);
    put(item.querySelector("strong")!, counted(group.count, "trial"));
    put(item.querySelector(".reason")!, group.reason);
    const links = item.querySelector<HTMLElement>(".links")!;
    const key = `${group.trials.join()}${group.count}`;
    if (links.dataset["of"] === key) return;
    links.dataset["of"] = key;
    put(links, ...group.trials.flatMap((trial) => [h("a.code", { href: trialPage(this.study, trial) }, trial), " "]), group.count > group.trials.length ? `and ${group.count - group.trials.length} more` : null);
  }
}
