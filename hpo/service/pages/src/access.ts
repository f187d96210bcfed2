// Who may come in, and who did what: for administrators.

import { get, send } from "./api.js";
import { ask } from "./dialog.js";
import { announce, byId, copyButton, h, keyed, put } from "./dom.js";
import { moment } from "./format.js";
import { frame, me, trouble } from "./frame.js";
import { timeElement } from "./state.js";

interface Token {
  name: string;
  role: string;
  created: number | null;
  revocable: boolean;
}

interface Entry {
  time: number;
  who: string;
  role: string;
  from: string;
  what: string;
  study: string | null;
  detail: Record<string, unknown> | null;
}

const ROLES = { view: "sees everything", run: "submits, stops and goes on with studies, too", admin: "does everything" };

class Tokens {
  readonly element = h("section", { "aria-labelledby": "tokens-heading" });
  private readonly rows = h("tbody");
  private readonly problem = h("div", { hidden: true });
  private readonly secret = h("div", { hidden: true });

  constructor(private readonly changed: () => void) {
    const name = h("input", { id: "token-name", required: true, maxlength: "64", pattern: "[A-Za-z0-9_][A-Za-z0-9._@\\-]*", autocomplete: "off", title: "Letters, digits, . _ - and @" });
    const role = h("select", { id: "token-role" }, ...Object.entries(ROLES).map(([value, about]) => h("option", { value }, `${value}: ${about}`)));
    const form = h("form.chooser", {}, h("span.check", {}, h("label", { for: "token-name" }, "Name"), name), h("span.check", {}, h("label", { for: "token-role" }, "Role"), role), h("button.primary", { type: "submit" }, "Add token"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.add(name.value.trim(), role.value).then((done) => done && form.reset());
    });
    const head = h("tr", {}, ...["Name", "Role", "Made", ""].map((label) => h("th", { scope: "col" }, label || h("span.aside", {}, "Action"))));
    this.element.append(
      h("h2", { id: "tokens-heading" }, "Tokens"),
      h("p.note", {}, "A token is a name and a role. A session in a browser begins with it; revoking it ends its sessions and streams."),
      form,
      this.problem,
      this.secret,
      h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Tokens, as a table" }, h("table.narrow", {}, h("thead", {}, head), this.rows)),
    );
  }

  async load(): Promise<void> {
    try {
      const { tokens } = await get<{ tokens: Token[] }>("/tokens");
      keyed(this.rows, tokens, (one) => `${one.name}|${one.role}|${one.created}`, (one) => this.row(one), () => undefined);
    } catch (error) {
      trouble(this.problem, error);
    }
  }

  private row(token: Token): HTMLTableRowElement {
    const revoke = token.revocable
      ? h("button.quiet", { type: "button", "aria-label": `Revoke ${token.name}`, onclick: () => void this.revoke(token) }, "Revoke")
      : h("span.note", {}, "of the environment");
    return h("tr", {}, h("th", { scope: "row" }, token.name), h("td", {}, token.role), h("td", {}, token.created === null ? "–" : timeElement(token.created)), h("td", {}, revoke));
  }

  private async add(name: string, role: string): Promise<boolean> {
    trouble(this.problem, null);
    try {
      const made = await send<{ name: string; token: string }>("POST", "/tokens", { name, role });
      this.secret.hidden = false;
      this.secret.className = "card secret";
      put(this.secret, h("p", {}, `The token of ${made.name}. It is shown this once: copy it now.`), h("div.command", {}, h("pre", { tabindex: "0" }, made.token), copyButton(() => made.token)));
      announce(`The token of ${made.name} was made`);
    } catch (error) {
      trouble(this.problem, error);
      return false;
    }
    await this.load();
    this.changed();
    return true;
  }

  private async revoke(token: Token): Promise<void> {
    const done = await ask({
      title: `Revoke the token of ${token.name}?`,
      body: [h("p", {}, "Whoever uses it is logged out at once. Its studies go on.")],
      action: "Revoke",
      serious: true,
      run: async () => void (await send("DELETE", `/tokens/${encodeURIComponent(token.name)}`)),
    });
    if (!done) return;
    announce(`The token of ${token.name} is revoked`);
    await this.load();
    this.changed();
  }
}

class Audit {
  readonly element = h("section", { "aria-labelledby": "audit-heading" });
  private readonly rows = h("tbody");
  private readonly problem = h("div", { hidden: true });
  private readonly more = h("button", { type: "button", hidden: true, onclick: () => void this.load(this.next) }, "Show earlier entries");
  private next: string | null = null;

  constructor() {
    const head = h("tr", {}, ...["When", "Who", "What", "Study", "Details", "From"].map((label) => h("th", { scope: "col" }, label)));
    this.element.append(
      h("h2", { id: "audit-heading" }, "Audit log"),
      this.problem,
      h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Audit log, as a table" }, h("table", {}, h("thead", {}, head), this.rows)),
      this.more,
    );
  }

  async load(cursor: string | null = null): Promise<void> {
    try {
      const answer = await get<{ entries: Entry[]; next: string | null }>("/audit", { query: { limit: 50, cursor } });
      const rows = answer.entries.map(auditRow);
      if (cursor === null) this.rows.replaceChildren(...rows);
      else this.rows.append(...rows);
      if (!this.rows.childElementCount) this.rows.append(h("tr", {}, h("td", { colspan: 6 }, "Nothing was done yet.")));
      this.next = answer.next;
      this.more.hidden = this.next === null;
    } catch (error) {
      trouble(this.problem, error, () => void this.load(cursor));
    }
  }
}

function auditRow(entry: Entry): HTMLTableRowElement {
  const details = Object.entries(entry.detail ?? {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  const who = h("td", {}, entry.who, " ", h("span.role", {}, entry.role));
  return h("tr", {}, h("td.when", {}, moment(entry.time)), who, h("td.when", {}, entry.what), h("td", {}, entry.study ?? ""), h("td.note", {}, details.join(", ")), h("td.mono", {}, entry.from));
}

async function start(): Promise<void> {
  const place = byId("access");
  const who = await me();
  if (!who.can.includes("admin")) {
    put(place, h("div.empty", {}, h("h2", {}, "For administrators"), h("p", {}, `The role ${who.role} sees studies, but neither tokens nor the audit log.`)));
    return;
  }
  const audit = new Audit();
  if (who.session === false) {
    place.append(h("p.note", {}, "This service asks for no tokens: it was started with --no-token. Whoever reaches it may do everything."));
  } else {
    const tokens = new Tokens(() => void audit.load());
    place.append(tokens.element);
    void tokens.load();
  }
  place.append(audit.element);
  await audit.load();
}

frame();
void start();
