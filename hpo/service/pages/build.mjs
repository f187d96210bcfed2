// Bundles src/ into built/: one script a page, what pages share in chunks, one style sheet, the licences of what is
// bundled, and a manifest with a digest of the sources. Twice the same sources give twice the same bytes.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "built");
const PAGES = ["studies", "study", "trial", "compare", "submit", "access", "log", "message"];

// What the bundles are made from; hpo's tests compute the same digest (tests/unit/test_page_bundles.py).
function digest() {
  const files = ["build.mjs", "package.json", "package-lock.json", "tsconfig.json"];
  files.push(...readdirSync(join(here, "src"), { recursive: true }).filter((name) => /\.(ts|css|svg)$/.test(name)).sort().map((name) => `src/${name}`));
  const hash = createHash("sha256");
  for (const name of files) hash.update(name).update("\0").update(readFileSync(join(here, name))).update("\0");
  return hash.digest("hex");
}

// The package folders whose code went into the bundles, by esbuild's own account.
function bundledPackages(inputs) {
  const found = new Set();
  for (const path of Object.keys(inputs)) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path);
    if (match) found.add(match[1]);
  }
  return [...found].sort();
}

function licences(packages) {
  const parts = ["The bundles beside this file contain code of the following packages, each under its own licence.\n"];
  for (const folder of packages) {
    const about = JSON.parse(readFileSync(join(here, folder, "package.json"), "utf8"));
    const found = readdirSync(join(here, folder), { recursive: true, withFileTypes: true });
    const near = (entry) => relative(join(here, folder), join(entry.parentPath, entry.name));
    const texts = found.filter((entry) => entry.isFile()).map(near).filter((name) => /^(licen[cs]es?|notice)(\.[a-z]+|-[^/]*|\/[^/]+)?$/i.test(name)).sort();
    if (!texts.length) throw new Error(`${folder} has no licence file`);
    parts.push(`${"=".repeat(100)}\n${about.name} ${about.version} (${about.license})\n${"=".repeat(100)}\n`);
    for (const name of texts) parts.push(readFileSync(join(here, folder, name), "utf8").trim() + "\n");
  }
  return parts.join("\n").replace(/\r\n/g, "\n");
}

// The chunks that a page's script imports before it runs, so that the shell can ask for them at once.
function imported(outputs, name) {
  const found = new Set();
  const visit = (path) => {
    for (const { path: next, kind } of outputs[path].imports) {
      if (kind === "import-statement" && !found.has(next)) {
        found.add(next);
        visit(next);
      }
    }
  };
  visit(name);
  return [...found].map((path) => basename(path)).sort();
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
const pages = PAGES.filter((page) => existsSync(join(here, "src", `${page}.ts`)));
const result = await build({
  absWorkingDir: here,
  entryPoints: [...pages.map((page) => `src/${page}.ts`), "src/theme.css"],
  outdir: "built",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome109", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  chunkNames: "[name]-[hash]",
  charset: "utf8",
  metafile: true,
  logLevel: "info",
});
copyFileSync(join(here, "src", "icon.svg"), join(out, "icon.svg"));
const manifest = { digest: digest(), pages: {} };
for (const page of pages) manifest.pages[page] = imported(result.metafile.outputs, `built/${page}.js`);
writeFileSync(join(out, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
writeFileSync(join(out, "LICENSES.txt"), licences(bundledPackages(result.metafile.inputs)));
console.log(relative(process.cwd(), out), readdirSync(out).length, "files");
