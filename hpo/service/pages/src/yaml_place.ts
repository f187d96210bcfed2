// Where in a YAML document a place of its text is. It reads text that is being written, which no parser takes yet.

import type { Step } from "./schema.js";

export interface Place {
  path: Step[]; // of the mapping (for a key) or of the value
  kind: "key" | "value";
  from: number; // where the word begins that is being written
  taken: string[]; // keys that the same mapping has already
}

const KEY = /^(\s*(?:- +)*)("[^"]*"|'[^']*'|[^\s#:{}[\],][^:#{}[\],]*?) *:(?=\s|$)(.*)$/;
const WORD = /[\w.\-]*$/;

// The place at `position`; null inside a comment.
export function placeAt(text: string, position: number): Place | null {
  const lines = text.slice(0, position).split("\n");
  const line = lines.pop() ?? "";
  if (/(^|\s)#/.test(line)) return null;
  const from = position - (WORD.exec(line)?.[0].length ?? 0);
  const open = openFlow([...lines, line]);
  if (open) return flowPlace(open, lines, line, from);
  const match = KEY.exec(line);
  if (match) return { path: [...blockPath(lines, indentOf(line), line), unquoted(match[2] as string)], kind: "value", from, taken: [] };
  const path = blockPath(lines, indentOf(line), line);
  const taken = siblings(text, lines.length, indentOf(line));
  return { path, kind: "key", from, taken };
}

// Columns before the key of a line: the dashes of a list count as its indent.
function indentOf(line: string): number {
  return (/^\s*(?:- +)*/.exec(line)?.[0] ?? "").length;
}

function unquoted(key: string): string {
  return key.replace(/^(["'])(.*)\1$/, "$2");
}

// The path of the mapping whose keys stand at `indent` after `lines`; `line` is the one that is being written.
function blockPath(lines: readonly string[], indent: number, line: string): Step[] {
  const path: Step[] = [];
  let column = indent;
  if (/^\s*- /.test(line) || /^\s*-$/.test(line)) {
    column = /^\s*/.exec(line)![0].length;
    path.unshift(0);
  }
  for (let i = lines.length - 1; i >= 0 && (column > 0 || path[0] === 0); i -= 1) {
    const before = lines[i] as string;
    if (!before.trim() || before.trim().startsWith("#")) continue;
    const match = KEY.exec(before);
    const own = indentOf(before);
    const dash = /^(\s*)- /.exec(before);
    const inList = path[0] === 0; // a list may stand at the column of its key
    if (match && (own < column || (inList && own === column && !dash)) && !(match[3] ?? "").replace(/#.*/, "").trim()) {
      path.unshift(unquoted(match[2] as string));
      column = own;
      if (dash) {
        column = (dash[1] as string).length;
        path.unshift(0);
      }
    } else if (dash && own === column && !inList) {
      column = (dash[1] as string).length;
      path.unshift(0);
    }
    if (column === 0 && path[0] !== 0) break;
  }
  return path;
}

// The keys at this indent of the mapping around line `at`.
function siblings(text: string, at: number, indent: number): string[] {
  const all = text.split("\n");
  const found: string[] = [];
  for (const step of [-1, 1]) {
    for (let i = at + step; i >= 0 && i < all.length; i += step) {
      const line = all[i] as string;
      if (!line.trim() || line.trim().startsWith("#")) continue;
      if (indentOf(line) < indent) break;
      const match = KEY.exec(line);
      if (match && indentOf(line) === indent) found.push(unquoted(match[2] as string));
    }
  }
  return found;
}

interface Open {
  line: number; // where the outermost bracket opens
  column: number;
  text: string; // from there to the cursor
}

// The outermost bracket that is still open at the end of the lines.
function openFlow(lines: readonly string[]): Open | null {
  let depth = 0;
  let first: Open | null = null;
  for (let i = 0; i < lines.length; i += 1) {
    const line = plainOf(lines[i] as string);
    for (let j = 0; j < line.length; j += 1) {
      if ("{[".includes(line[j] as string)) {
        if (!depth) first = { line: i, column: j, text: "" };
        depth += 1;
      } else if ("}]".includes(line[j] as string)) depth = Math.max(0, depth - 1);
    }
  }
  if (!depth || !first) return null;
  const rest = lines.slice(first.line).join("\n").slice(first.column);
  return { ...first, text: rest };
}

// A line with its quoted texts and its comment blanked.
function plainOf(line: string): string {
  return line.replace(/"[^"]*"|'[^']*'/g, (quoted) => "_".repeat(quoted.length)).replace(/(^|\s)#.*$/, (comment) => " ".repeat(comment.length));
}

function flowPlace(open: Open, lines: readonly string[], line: string, from: number): Place {
  const all = [...lines, line];
  const head = (all[open.line] as string).slice(0, open.column);
  const before = all.slice(0, open.line);
  const key = KEY.exec(head.endsWith(" ") || head.endsWith(":") ? head : `${head} `);
  const base = blockPath(before, indentOf(head), head);
  const path: Step[] = key ? [...base, unquoted(key[2] as string)] : base;
  const stack: { step: Step | null; map: boolean; taken: string[] }[] = [];
  let word = "";
  for (const character of open.text.split("\n").map(plainOf).join("\n")) {
    const top = stack.at(-1);
    if (character === "{" || character === "[") {
      stack.push({ step: character === "[" ? 0 : null, map: character === "{", taken: [] });
      word = "";
    } else if (character === "}" || character === "]") {
      stack.pop();
      word = "";
    } else if (character === ":" && top?.map) {
      top.step = word.trim();
      top.taken.push(word.trim());
      word = "";
    } else if (character === "," && top) {
      top.step = top.map ? null : Number(top.step) + 1;
      word = "";
    } else word += character;
  }
  for (const { step } of stack) if (step !== null) path.push(step);
  const last = stack.at(-1);
  return { path, kind: last?.map && last.step === null ? "key" : "value", from, taken: last?.taken ?? [] };
}
