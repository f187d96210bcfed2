// The rows of a long table by the page: asked for as they come into sight, kept until newer ones are there.

export interface Page<Row> {
  matched: number;
  rows: Row[];
}

export type Source<Row> = (offset: number, limit: number, signal: AbortSignal) => Promise<Page<Row>>;

export const PAGE = 100; // rows
const PAGES = 30; // most pages kept
const PASSING = 40; // milliseconds: a quick scroll passes most pages by

export class TablePages<Row> {
  matched = 0;
  private readonly pages = new Map<number, Row[]>();
  private readonly asked = new Map<number, AbortController>();
  private stale = new Set<number>();

  // sight: the first and the last page in sight. arrived: runs once a page is there.
  constructor(
    private readonly source: Source<Row>,
    private readonly sight: () => [number, number],
    private readonly arrived: (rows: Row[]) => void,
    private readonly trouble: (error: unknown) => void,
  ) {}

  row(index: number): Row | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  // Everything is to be asked for again; what is there stays until then.
  age(): void {
    for (const one of this.asked.values()) one.abort();
    this.asked.clear();
    this.stale = new Set(this.pages.keys());
  }

  need(page: number): void {
    if ((this.pages.has(page) && !this.stale.has(page)) || this.asked.has(page)) return;
    const stop = new AbortController();
    this.asked.set(page, stop);
    window.setTimeout(() => {
      if (!stop.signal.aborted) void this.fetch(page, stop);
    }, this.pages.size ? PASSING : 0);
  }

  private async fetch(page: number, stop: AbortController): Promise<void> {
    const [first, last] = this.sight();
    if (this.pages.size && (page < first - 1 || page > last + 1)) {
      this.asked.delete(page);
      return;
    }
    try {
      const found = await this.source(page * PAGE, PAGE, stop.signal);
      if (stop.signal.aborted) return;
      this.asked.delete(page);
      this.take(page, found);
    } catch (error) {
      if (stop.signal.aborted) return;
      this.asked.delete(page);
      this.trouble(error);
    }
  }

  private take(page: number, found: Page<Row>): void {
    for (const [number, rows] of this.pages) {
      if (found.matched < number * PAGE + rows.length) this.pages.delete(number); // rows that are there no more
    }
    this.pages.delete(page);
    this.pages.set(page, found.rows);
    this.stale.delete(page);
    if (this.pages.size > PAGES) this.pages.delete(this.pages.keys().next().value as number);
    this.matched = found.matched;
    this.arrived(found.rows);
  }
}
