// The editor of a study file: YAML, completion from the schema, messages at their line. Lives in a shadow root, where
// its styles need no inline style element.

import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Text } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { completions } from "./completions.js";
import { h } from "./dom.js";
import type { Schema } from "./schema.js";

export interface Problem {
  line: number; // from 1, as the column
  column: number;
  end_line?: number | null;
  message: string;
}

export interface Editor {
  element: HTMLElement;
  text(): string;
  setText(text: string): void;
  show(problems: readonly Problem[]): void;
  goTo(problem: Problem): void;
}

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)", fontWeight: "600" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--muted)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--card)", height: "100%", fontSize: "13.5px" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--card)", color: "var(--muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--softer)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
  ".cm-tooltip": { backgroundColor: "var(--paper)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px", overflow: "hidden" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--paper)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.75", fontStyle: "normal" },
  ".cm-completionInfo": { padding: "6px 10px", maxWidth: "340px", whiteSpace: "pre-wrap" },
  ".cm-diagnostic": { padding: "4px 10px", whiteSpace: "pre-wrap", maxWidth: "520px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-panels": { backgroundColor: "var(--card)", color: "var(--ink)" },
  ".cm-textfield": { backgroundColor: "var(--paper)", borderColor: "var(--muted)" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--paper)", borderColor: "var(--muted)" },
});

export function editor(text: string, schema: () => Schema | null, changed: () => void): Editor {
  const element = h("div.editor");
  const root = element.attachShadow({ mode: "open" });
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches(),
        indentOnInput(),
        indentUnit.of("  "),
        bracketMatching(),
        closeBrackets(),
        yaml(),
        EditorView.lineWrapping,
        syntaxHighlighting(COLOURS),
        autocompletion({ override: [completions(schema)], icons: false }),
        lintGutter(),
        keymap.of([...completionKeymap, ...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
        EditorView.contentAttributes.of({ "aria-label": "Study file", spellcheck: "false", tabindex: "0" }),
        EditorView.domEventHandlers({ beforeinput: replaced }),
        EditorView.updateListener.of((update) => update.docChanged && changed()),
        THEME,
      ],
    }),
  });
  return {
    element,
    text: () => view.state.doc.toString(),
    setText: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next }, selection: { anchor: 0 } }),
    show: (problems) => view.dispatch(setDiagnostics(view.state, problems.map((problem) => diagnostic(view.state.doc, problem)))),
    goTo: (problem) => {
      view.dispatch({ selection: { anchor: diagnostic(view.state.doc, problem).from }, scrollIntoView: true });
      view.focus();
    },
  };
}

// Replaces a selection by what is typed over it. The browser would keep the selection's look in a style attribute, which
// the page's policy refuses, with a complaint on the console.
function replaced(event: InputEvent, view: EditorView): boolean {
  const { main } = view.state.selection;
  const text = event.data;
  if (event.inputType !== "insertText" || text === null || event.isComposing || main.empty) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
  const handled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, text, insert));
  if (!handled) view.dispatch(insert());
  return true;
}

// Marks from the problem's column to the end of the word or the value there.
function diagnostic(doc: Text, problem: Problem): Diagnostic {
  const line = doc.line(Math.min(doc.lines, Math.max(1, problem.line)));
  const from = Math.min(line.to, line.from + Math.max(0, problem.column - 1));
  const rest = /^[^\s,:#}\]]+/.exec(line.text.slice(from - line.from));
  const to = problem.end_line && problem.end_line > problem.line ? doc.line(Math.min(doc.lines, problem.end_line)).to : from + (rest?.[0].length ?? 0);
  return { from, to, severity: "error", message: problem.message };
}
