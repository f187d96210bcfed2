// A configuration as text to copy: YAML for a study file, Python for a program. Pure.

import type { Cell } from "./answers.js";

export type Config = Record<string, Cell>;

// One line a hyperparameter, as YAML 1.1 and 1.2 both read it.
export function asYaml(config: Config): string {
  return Object.entries(config).map(([name, value]) => `${key(name)}: ${yaml(value)}\n`).join("");
}

export function asPython(config: Config): string {
  const lines = Object.entries(config).map(([name, value]) => `    ${python(name)}: ${python(value)},\n`);
  return lines.length ? `config = {\n${lines.join("")}}\n` : "config = {}\n";
}

function key(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !reserved(name) ? name : JSON.stringify(name);
}

function yaml(value: Cell): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "number") return real(value);
  return /^[A-Za-z_][A-Za-z0-9_./-]*$/.test(value) && !reserved(value) ? value : JSON.stringify(value);
}

// 1e-5 is a text to YAML 1.1: its numbers have a point.
function real(value: number): string {
  const text = String(value);
  return /e/.test(text) && !/\./.test(text) ? text.replace("e", ".0e") : text;
}

function reserved(text: string): boolean {
  return /^(y|n|yes|no|on|off|true|false|null|nan|inf)$/i.test(text);
}

function python(value: Cell): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  return JSON.stringify(value);
}
