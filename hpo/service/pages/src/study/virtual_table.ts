// A table of any length: only the rows in sight are elements. A grid to the keyboard and to screen readers.
//
// Rows come by the page from `source`; those in sight are asked for again by `reload`, and the old ones stay until the new
// are there. The focus stays on the grid, which names its active cell: no redrawing can lose it.

import { h, put, vary } from "../dom.js";
import { PAGE, TablePages, type Source } from "./table_pages.js";

export interface TableColumn {
  name: string;
  label: string;
  width: number; // pixels
  numeric?: boolean;
  sortable?: boolean;
  title?: string;
}

export interface TableOptions<Row> {
  label: string;
  source: Source<Row>;
  key: (row: Row) => string;
  cell: (row: Row, column: TableColumn, element: HTMLElement) => void; // fills a cell
  sorted: () => string; // "name", "-name" or ""
  sort: (name: string) => void;
  open: (row: Row, aside: boolean) => void; // Enter or a double click; aside: in a tab of its own
  selected: (rows: Map<string, Row>) => void;
  trouble: (error: unknown) => void;
}

const ROW = 30; // pixels; the style sheet has the same
const MORE = 8; // rows beyond those in sight
let tables = 0;

export class VirtualTable<Row> {
  readonly element: HTMLElement;
  readonly selection = new Map<string, Row>();
  private readonly id = `table-${++tables}`;
  private readonly head = h("div.grid-row.grid-head", { role: "row", "aria-rowindex": 1 });
  private readonly body = h("div.grid-body", { role: "rowgroup" });
  private readonly shown = new Map<number, HTMLElement>();
  private readonly pages: TablePages<Row>;
  private columns: TableColumn[] = [];
  private active = { row: 0, column: 0 }; // row 0 is the head
  private anchor = 0;
  private frame = 0;

  constructor(private readonly options: TableOptions<Row>) {
    this.element = h(
      "div.trial-grid",
      { role: "grid", tabindex: 0, "aria-label": options.label, "aria-multiselectable": "true", "aria-rowcount": 1 },
      h("div.grid-top", { role: "rowgroup" }, this.head),
      this.body,
    );
    this.pages = new TablePages<Row>(options.source, () => this.sight(), (rows) => this.arrived(rows), options.trouble);
    this.element.addEventListener("scroll", () => this.later(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.pressed(event));
    this.element.addEventListener("click", (event) => this.clicked(event));
    this.element.addEventListener("dblclick", (event) => this.opened(event));
    new ResizeObserver(() => this.later()).observe(this.element);
  }

  setColumns(columns: TableColumn[]): void {
    const same = JSON.stringify(columns) === JSON.stringify(this.columns);
    this.columns = columns;
    if (!same) {
      vary(this.element, "--columns", columns.map((column) => `${column.width}px`).join(" "));
      vary(this.element, "--wide", `${columns.reduce((sum, column) => sum + column.width, 0)}px`);
      this.element.setAttribute("aria-colcount", String(columns.length));
      for (const element of this.shown.values()) element.remove();
      this.shown.clear();
    }
    this.drawHead();
    this.later();
  }

  // Asks again for what is in sight. `afresh`: the rows are others (another filter or order), so the top is shown.
  reload(afresh = false): void {
    this.pages.age();
    if (afresh) {
      this.element.scrollTop = 0;
      this.active.row = Math.min(this.active.row, 1);
    }
    this.drawHead();
    this.pages.need(this.sight()[0]);
    this.later();
  }

  clearSelection(): void {
    this.selection.clear();
    this.options.selected(this.selection);
    this.draw();
  }

  private first(): number {
    return Math.max(0, Math.floor(this.element.scrollTop / ROW));
  }

  private later(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  private drawHead(): void {
    const sorted = this.options.sorted();
    put(this.head, ...this.columns.map((column, place) => {
      const direction = sorted === column.name ? "ascending" : sorted === `-${column.name}` ? "descending" : null;
      return h(
        column.numeric ? "div.grid-cell.number" : "div.grid-cell",
        {
          role: "columnheader", id: this.cellId(0, place), "aria-colindex": place + 1, "data-column": column.name,
          "aria-sort": direction ?? (column.sortable === false ? null : "none"), title: column.title,
        },
        h("span", {}, column.label),
        direction ? h("span.sorted", { "aria-hidden": "true" }, direction === "ascending" ? "▲" : "▼") : null,
      );
    }));
    this.mark();
  }

  private draw(): void {
    const height = this.element.clientHeight;
    if (!height || !this.columns.length) return;
    const from = Math.max(0, this.first() - MORE);
    const to = Math.min(this.pages.matched, this.first() + Math.ceil(height / ROW) + MORE);
    for (const [index, element] of this.shown) {
      if (index < from || index >= to) {
        element.remove();
        this.shown.delete(index);
      }
    }
    for (let index = from; index < to; index += 1) this.drawRow(index);
    if (to > from) {
      this.pages.need(Math.floor(from / PAGE));
      this.pages.need(Math.floor((to - 1) / PAGE));
    }
    this.mark();
  }

  private drawRow(index: number): void {
    let element = this.shown.get(index);
    if (!element) {
      element = h("div.grid-row", { role: "row", "aria-rowindex": index + 2, "data-index": index });
      vary(element, "--top", `${index * ROW}px`);
      element.append(...this.columns.map((column, place) => h(column.numeric ? "div.grid-cell.number" : "div.grid-cell", {
        role: place ? "gridcell" : "rowheader", id: this.cellId(index + 1, place), "aria-colindex": place + 1,
      })));
      this.shown.set(index, element);
      const next = [...this.body.children].find((other) => Number((other as HTMLElement).dataset["index"]) > index);
      this.body.insertBefore(element, next ?? null); // in reading order
    }
    const row = this.pages.row(index);
    element.classList.toggle("waiting", !row);
    element.setAttribute("aria-selected", String(Boolean(row && this.selection.has(this.options.key(row)))));
    this.columns.forEach((column, place) => {
      const cell = element.children[place] as HTMLElement;
      if (row) this.options.cell(row, column, cell);
      else put(cell, "");
    });
  }

  // The first and the last page in sight.
  private sight(): [number, number] {
    return [Math.floor(this.first() / PAGE), Math.floor((this.first() + this.element.clientHeight / ROW + MORE) / PAGE)];
  }

  private arrived(rows: Row[]): void {
    const { matched } = this.pages;
    this.element.setAttribute("aria-rowcount", String(matched + 1));
    vary(this.element, "--tall", `${matched * ROW}px`);
    this.active.row = Math.min(this.active.row, matched);
    for (const row of rows) if (this.selection.has(this.options.key(row))) this.selection.set(this.options.key(row), row);
    this.draw();
  }

  private cellId(row: number, column: number): string {
    return `${this.id}-${row}-${column}`;
  }

  private mark(): void {
    this.element.querySelector(".active")?.classList.remove("active");
    const cell = document.getElementById(this.cellId(this.active.row, this.active.column));
    if (cell) {
      cell.classList.add("active");
      this.element.setAttribute("aria-activedescendant", cell.id);
    } else this.element.removeAttribute("aria-activedescendant");
  }

  private move(row: number, column: number): void {
    this.active = {
      row: Math.min(this.pages.matched, Math.max(0, row)),
      column: Math.min(this.columns.length - 1, Math.max(0, column)),
    };
    const top = (this.active.row - 1) * ROW;
    const room = this.element.clientHeight - ROW * 1.5;
    if (this.active.row) {
      if (top < this.element.scrollTop) this.element.scrollTop = top;
      else if (top + ROW > this.element.scrollTop + room) this.element.scrollTop = top + ROW - room;
    }
    const left = this.columns.slice(0, this.active.column).reduce((sum, one) => sum + one.width, 0);
    const own = this.columns[this.active.column]?.width ?? 0;
    const fixed = this.active.column ? (this.columns[0]?.width ?? 0) : 0;
    if (left - fixed < this.element.scrollLeft) this.element.scrollLeft = left - fixed;
    else if (left + own > this.element.scrollLeft + this.element.clientWidth) this.element.scrollLeft = left + own - this.element.clientWidth;
    this.draw();
  }

  private pressed(event: KeyboardEvent): void {
    const { row, column } = this.active;
    const leap = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    const moves: Record<string, [number, number]> = {
      ArrowDown: [row + 1, column], ArrowUp: [row - 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageDown: [row + leap, column], PageUp: [Math.max(1, row - leap), column],
      Home: event.ctrlKey ? [1, 0] : [row, 0], End: event.ctrlKey ? [this.pages.matched, column] : [row, this.columns.length - 1],
    };
    const to = moves[event.key];
    const target = this.pages.row(row - 1);
    if (to) {
      this.move(...to);
      if (event.shiftKey && to[0] !== row && this.active.row) this.select(this.active.row - 1, false, true);
    } else if (event.key === "Enter" && row === 0) this.order(this.columns[column]);
    else if (event.key === "Enter" && target) this.options.open(target, event.ctrlKey || event.metaKey);
    else if (event.key === " " && row === 0) this.order(this.columns[column]);
    else if (event.key === " " && target) this.select(row - 1, true, event.shiftKey);
    else if (event.key === "Escape" && this.selection.size) this.clearSelection();
    else return;
    event.preventDefault();
  }

  private order(column: TableColumn | undefined): void {
    if (!column || column.sortable === false) return;
    const now = this.options.sorted();
    this.options.sort(now === `-${column.name}` ? column.name : now === column.name ? "" : column.numeric ? `-${column.name}` : column.name);
  }

  private select(index: number, keep: boolean, span: boolean): void {
    const row = this.pages.row(index);
    if (!row) return;
    if (span) {
      const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
      for (let place = from; place <= to && place - from < 200; place += 1) {
        const one = this.pages.row(place);
        if (one) this.selection.set(this.options.key(one), one);
      }
    } else {
      const key = this.options.key(row);
      const had = this.selection.has(key);
      const alone = this.selection.size === 1;
      if (!keep) this.selection.clear();
      if (keep ? had : had && alone) this.selection.delete(key);
      else this.selection.set(key, row);
      this.anchor = index;
    }
    this.options.selected(this.selection);
    this.draw();
  }

  private clicked(event: MouseEvent): void {
    const cell = (event.target as HTMLElement).closest<HTMLElement>("[role=columnheader],[role=gridcell],[role=rowheader]");
    if (!cell || (event.target as HTMLElement).closest("a")) return;
    const column = Number(cell.getAttribute("aria-colindex")) - 1;
    if (cell.getAttribute("role") === "columnheader") {
      this.active = { row: 0, column };
      this.order(this.columns[column]);
      return;
    }
    const index = Number(cell.parentElement?.dataset["index"]);
    this.active = { row: index + 1, column };
    this.select(index, event.ctrlKey || event.metaKey, event.shiftKey);
  }

  private opened(event: MouseEvent): void {
    const index = (event.target as HTMLElement).closest<HTMLElement>("[data-index]")?.dataset["index"];
    const row = index === undefined ? undefined : this.pages.row(Number(index));
    if (row) this.options.open(row, event.ctrlKey || event.metaKey);
  }
}
