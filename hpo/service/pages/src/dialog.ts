// Asking once before something is done.

import { sentenceOf } from "./api.js";
import { h, put, type Child } from "./dom.js";

export interface Question {
  title: string;
  body: Child[];
  action: string; // the button's text, a verb
  serious?: boolean;
  run: () => Promise<void>; // what is done; a failure is shown in the dialog, which stays open
}

// Opens a modal dialog, which the keyboard and screen readers know, and returns once it is closed: true after `run`.
export function ask(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    const problem = h("p.trouble", { role: "alert", hidden: true });
    const yes = h("button", { type: "submit", class: question.serious ? "primary serious" : "primary" }, question.action);
    const no = h("button", { type: "button" }, "Cancel");
    const form = h("form", { method: "dialog" }, ...question.body, problem, h("div.buttons", {}, no, yes));
    const title = h("h2", { id: "dialog-title" }, question.title);
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, title, form);
    let done = false;
    no.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      yes.disabled = true;
      problem.hidden = true;
      question
        .run()
        .then(() => {
          done = true;
          dialog.close();
        })
        .catch((error: unknown) => {
          put(problem, sentenceOf(error));
          problem.hidden = false;
          yes.disabled = false;
        });
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
