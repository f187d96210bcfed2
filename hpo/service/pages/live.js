// The live page: draws each state from the server. Values from the store enter the page as text, never as HTML.
"use strict";
(() => {
  const main = document.getElementById("live");
  const study = main.dataset.study;
  const looks = JSON.parse(main.dataset.looks);
  const SVG = "http://www.w3.org/2000/svg";
  const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [320, 58, 14, 10, 44];
  let last = null;

  const element = (name, text = "", className = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const shape = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const stroke = (method) => {
    const look = looks[method] ?? { tint: "ink", dash: [] };
    return { stroke: `var(--${look.tint})`, "stroke-dasharray": look.dash.map((d) => 2 * d).join(" ") };
  };
  const number = (value) => (value == null ? "–" : value.toPrecision(4));
  const round = (value) => Math.round(value * 10) / 10;

  function ticks(low, high, count) {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(+t.toPrecision(10));
    return found;
  }

  // The range of the values, without poor first epochs that would squeeze the rest into a thin strip.
  function range(curves, mode) {
    const values = curves.flatMap((c) => c.map((p) => p[1])).filter((v) => v != null).sort((a, b) => a - b);
    if (!values.length) return [0, 1];
    const at = (share) => values[Math.floor(share * (values.length - 1))];
    const [low, high] = mode === "max" ? [at(0.1), at(1)] : [at(0), at(0.9)];
    const room = 0.06 * (high - low) || 0.05 * Math.abs(high) || 0.05;
    return [low - room, high + room];
  }

  // A budget counts epochs, or what they cost.
  const unit = (of) => (of.budget_cost == null ? "epochs" : "cost");
  const budget = (of) => of.budget_cost ?? of.budget_epochs;
  const spent = (run) => (run.budget_cost == null ? run.charged_epochs : run.charged_cost ?? 0);
  const digits = (amount) => String(Math.floor(amount * 100 + 1e-6) / 100); // down: what is not charged must not seem to be
  const curve = (run) => (run.budget_cost == null ? run.anytime : run.anytime_cost);

  function chart(state) {
    const box = document.getElementById("chart");
    const WIDTH = Math.max(300, box.clientWidth);
    const runs = state.runs.filter((run) => curve(run).length);
    const [low, high] = range(runs.map(curve), state.mode);
    const x = (charged) => LEFT + (charged / budget(state)) * (WIDTH - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": `Best ${state.metric} of each run over charged ${unit(state)}` });
    for (const t of ticks(low, high, 5)) {
      svg.append(shape("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(t), y2: y(t) }), label(String(t), LEFT - 8, y(t) + 4, "end"));
    }
    for (const t of ticks(0, budget(state), WIDTH / 110)) svg.append(label(String(t), x(t), HEIGHT - BOTTOM + 18, "middle"));
    svg.append(label(`charged ${unit(state)}`, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle"));
    for (const run of runs) svg.append(line(run, x, y));
    box.replaceChildren(svg);
  }

  function label(text, x, y, anchor) {
    const made = shape("text", { x: round(x), y: round(y), "text-anchor": anchor });
    made.textContent = text;
    return made;
  }

  function line(run, x, y) {
    let path = "";
    for (const [charged, value] of curve(run)) {
      if (value == null) continue;
      path += path ? `H${round(x(charged))}V${round(y(value))}` : `M${round(x(charged))} ${round(y(value))}`;
    }
    const made = shape("path", { class: "run", d: path, ...stroke(run.method) });
    const title = shape("title", {});
    title.textContent = `${run.run}: ${number(run.best)} after ${run.charged_epochs} epochs`;
    made.append(title);
    return made;
  }

  function legend(state) {
    const methods = [...new Set(state.runs.map((run) => run.method))];
    document.getElementById("legend").replaceChildren(...methods.map((method) => {
      const entry = element("span");
      const svg = shape("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" });
      svg.append(shape("line", { x1: 0, x2: 28, y1: 4, y2: 4, "stroke-width": 3, ...stroke(method) }));
      entry.append(svg, method);
      return entry;
    }));
  }

  function row(run) {
    const made = element("tr");
    const head = element("th", run.run);
    head.scope = "row";
    const charged = element("td");
    const bar = element("progress");
    bar.max = budget(run);
    bar.value = spent(run);
    bar.setAttribute("aria-label", `${run.run}: charged ${unit(run)}`);
    charged.append(bar, `${digits(spent(run))} / ${digits(budget(run))}`);
    const count = (...states) => element("td", String(states.reduce((sum, s) => sum + (run.trials[s] ?? 0), 0)), "number");
    const status = run.reason ? `${run.status}: ${run.reason}` : run.status;
    made.append(head, charged, element("td", number(run.best), "number"), count("running"), count("paused"), count("stopped", "completed"), count("failed"), element("td", status));
    return made;
  }

  function failures(state) {
    if (!state.failed) return;
    const items = state.failures.map((f) => element("li", `${f.kind} after ${f.epoch} epochs: ${f.reason} (trial ${f.trial})`));
    if (state.failed > items.length) items.unshift(element("li", `${state.failed} in total; the last ${items.length}:`));
    document.getElementById("failures").replaceChildren(...items);
  }

  function say(text, trouble = false) {
    const box = document.getElementById("state");
    if (box.textContent !== text) box.textContent = text;
    box.classList.toggle("trouble", trouble);
  }

  function occupied(now) {
    if (!now) return "";
    const rest = ["starting", "waiting"].filter((name) => now[name]).map((name) => `, ${now[name]} ${name}`);
    return `; ${now.busy} of ${now.slots} slots busy${rest.join("")}`;
  }

  function summary(state) {
    const charged = state.runs.reduce((sum, run) => sum + spent(run), 0);
    const whole = state.runs.reduce((sum, run) => sum + budget(run), 0);
    const done = state.runs.filter((run) => run.status === "complete").length;
    const share = whole ? Math.floor((100 * charged) / whole) : 0;
    const over = done === state.runs.length;
    const all = over ? (state.failure ? "Failed" : "Complete") : "In progress";
    const trouble = [state.failure, state.failed_exams].filter(Boolean).map((said) => `${said[0].toUpperCase()}${said.slice(1)}. `);
    return `${trouble.join("")}${all}: ${digits(charged)} of ${digits(whole)} ${unit(state)} charged (${share} %), ${done} of ${state.runs.length} runs complete, ${state.trained_epochs} epochs trained${over ? "" : occupied(state.occupancy)}.`;
  }

  function draw(state) {
    last = state;
    say(summary(state), Boolean(state.failure || state.failed_exams));
    legend(state);
    chart(state);
    document.getElementById("runs").replaceChildren(...state.runs.map(row));
    failures(state);
  }

  addEventListener("resize", () => last && chart(last));
  const source = new EventSource(`/api/studies/${encodeURIComponent(study)}/events`);
  source.onmessage = (event) => draw(JSON.parse(event.data));
  source.addEventListener("trouble", (event) => say(`The store cannot be read: ${event.data}`, true));
  source.onerror = () => say(last ? `No connection; this is the last known state. ${summary(last)}` : "No connection to the service; trying again.", true);
})();
