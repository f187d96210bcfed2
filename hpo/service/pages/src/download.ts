// Files that the page itself makes.

import { h } from "./dom.js";

// Saves rows as CSV, with nested values as JSON.
export function saveTable(name: string, rows: readonly Record<string, unknown>[]): void {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  saveText(name, lines.map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n", "text/csv");
}

function quoted(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no formulas in spreadsheets
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function saveText(name: string, text: string, media: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${media};charset=utf-8` }));
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
