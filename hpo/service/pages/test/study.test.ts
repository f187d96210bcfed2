// The pure parts of the study page: filters and their sentence, brushes, configurations as text, spans of values.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asPython, asYaml } from "../src/study/config_text.js";
import { asFilters, asInterval } from "../src/study/brushes.js";
import { filtersOf } from "../src/study/groups.js";
import { span } from "../src/study/spans.js";
import { listed, named, parsed, range, said, sentence, unlisted, within, written, type Filter } from "../src/study/trials_filters.js";

const of = (...texts: string[]): Filter[] => texts.map((text) => parsed(text)!);

test("a filter is read as it is written, colons and all; what is none is passed over", () => {
  for (const text of ["status:eq:failed", "reason:has:no file: a:b", "x:ge:1e-05", "name:eq:"]) assert.equal(written(parsed(text)!), text);
  for (const text of ["", "status", "status:is:failed", ":eq:1"]) assert.equal(parsed(text), null);
});

test("values of a list may hold commas and percents", () => {
  const values = ["a,b", "50%", "plain", "数据"];
  assert.deepEqual(unlisted(listed(values)), values);
  assert.deepEqual(unlisted("50%,x"), ["50%", "x"]);
});

test("the sentence says two bounds as a range, and everything that is searched", () => {
  const filters = of("lr:ge:0.001", "status:eq:failed", "lr:le:0.01");
  assert.equal(sentence(1204, 100000, filters, ""), "1,204 of 100,000 rows: lr from 0.001 to 0.01; status is failed.");
  assert.equal(sentence(3, 3, [], ""), "All 3 rows.");
  assert.equal(sentence(0, 1, [], "adam"), "0 of 1 row: “adam” anywhere.");
  assert.deepEqual(said(filters).map((one) => one.filters.length), [2, 1]);
});

test("a range takes the place of the column's filters and leaves the others", () => {
  const filters = within(of("lr:ge:0.1", "status:eq:failed"), "lr", 0.0012345678, 0.5);
  assert.deepEqual(filters.map(written), ["status:eq:failed", "lr:ge:0.00123457", "lr:le:0.5"]);
  assert.deepEqual(range(filters, "lr"), [0.00123457, 0.5]);
  assert.equal(range(filters, "status"), null);
  assert.deepEqual(named(of("o:in:adam,sgd"), "o"), ["adam", "sgd"]);
});

const LR = { name: "lr", kind: "range" as const, values: null, low: 1e-4, high: 0.1, log: true };
const OPTIMIZER = { name: "optimizer", kind: "choice" as const, values: ["adam", "rmsprop", "sgd"], low: null, high: null, log: false };

test("a brush becomes filters, and these the same brush", () => {
  const filters = asFilters([], "lr", LR, [0.01, 0.001]);
  assert.deepEqual(asInterval(filters, "lr", LR), [0.001, 0.01]);
  const chosen = asFilters(filters, "optimizer", OPTIMIZER, [0.6, 2.2]);
  assert.deepEqual(named(chosen, "optimizer"), ["rmsprop", "sgd"]);
  assert.deepEqual(asInterval(chosen, "optimizer", OPTIMIZER), [0.6, 2.4]);
  assert.equal(asInterval(of("optimizer:eq:lion"), "optimizer", OPTIMIZER), null);
  assert.deepEqual(asInterval(of("lr:ge:0.01"), "lr", LR), [0.01, 0.1]);
});

test("a group of failures is shown by its trials, or by what its reasons share", () => {
  const group = { kind: "error", reason: "ValueError: no file /data/7 is there" };
  assert.deepEqual(filtersOf(group, ["a", "b"], 2).map(written), ["trial:in:a,b"]);
  assert.deepEqual(filtersOf(group, ["a"], 30).map(written), ["kind:eq:error", "reason:has:ValueError: no file"]);
});

test("a configuration is copied as YAML and as Python that mean the same values", () => {
  const config = { lr: 1e-7, layers: "all", yes: "no", n: 3, flag: true, none: null, "a b": 'quote " \\ 数据' };
  assert.equal(asYaml(config), 'lr: 1.0e-7\nlayers: all\n"yes": "no"\n"n": 3\nflag: true\nnone: null\n"a b": "quote \\" \\\\ 数据"\n');
  assert.equal(asPython({ lr: 1e-5, flag: false, none: null, name: "a'b" }), 'config = {\n    "lr": 0.00001,\n    "flag": False,\n    "none": None,\n    "name": "a\'b",\n}\n');
  assert.equal(asPython({}), "config = {}\n");
});

test("the span of values leaves poor first values out and ends at round numbers", () => {
  const mean = [0.1, ...Array.from({ length: 40 }, (_, i) => 0.8 + i / 400)];
  const method = { method: "m", x: mean.map((_, i) => i), mean, low: mean, high: mean, runs: 1, value: 0.9 };
  const [low, high, step] = span([method], "max");
  assert.ok(low! > 0.7 && low! <= 0.8 && high! >= 0.8975 && high! < 1);
  assert.ok(Math.abs((high! - low!) / step! - Math.round((high! - low!) / step!)) < 1e-6);
  const [least] = span([{ ...method, mean: mean.map((v) => 1 - v), low: [], high: [] }], "min");
  assert.ok(least! < 0.11);
  assert.deepEqual(span([], "max"), []);
});
