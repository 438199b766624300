/* Budgets of the built app, in kB (1,000 bytes) after gzip -9. Fails when one is passed. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const manifest = JSON.parse(await readFile(join(dist, "manifest.json"), "utf8"));

const views = [
  { name: "entry", roots: ["index.html"], kB: 115 },
  { name: "sign-in", roots: ["index.html", "src/features/auth/login-page.tsx"], kB: 130 },
  {
    name: "chat view",
    roots: [
      "index.html",
      "src/features/chat/page.tsx",
      "src/features/chat/components/thread-list.tsx",
    ],
    kB: 185,
  },
  { name: "API keys", roots: ["index.html", "src/features/keys/page.tsx"], kB: 210 },
  { name: "models", roots: ["index.html", "src/features/admin/models-page.tsx"], kB: 210 },
  { name: "settings", roots: ["index.html", "src/features/settings/page.tsx"], kB: 210 },
];
const CSS_KB = 15;
const LAZY_KB = 150;

/* All chunks that a chunk needs before it can run. */
function closure(roots) {
  const files = new Set();
  const css = new Set();
  const visit = (key) => {
    const chunk = manifest[key];
    if (!chunk) throw new Error(`no chunk for ${key}: was a page moved?`);
    if (files.has(chunk.file)) return;
    files.add(chunk.file);
    for (const file of chunk.css ?? []) css.add(file);
    for (const other of chunk.imports ?? []) visit(other);
  };
  for (const root of roots) visit(root);
  return { files, css };
}

const sizes = new Map();
async function size(file) {
  if (!sizes.has(file)) {
    sizes.set(file, gzipSync(await readFile(join(dist, file)), { level: 9 }).length);
  }
  return sizes.get(file);
}
async function sum(files) {
  let total = 0;
  for (const file of files) total += await size(file);
  return total / 1000;
}

let failed = false;
function report(name, kB, limit) {
  const over = kB > limit;
  failed ||= over;
  console.log(
    `${over ? "OVER" : "ok  "}  ${name.padEnd(26)} ${kB.toFixed(1).padStart(6)} of ${limit} kB`,
  );
}

for (const view of views) report(view.name, await sum(closure(view.roots).files), view.kB);

const all = await readdir(join(dist, "assets"));
report(
  "all CSS",
  await sum(all.filter((f) => f.endsWith(".css")).map((f) => `assets/${f}`)),
  CSS_KB,
);
let largest = 0;
const first = closure(["index.html"]).files;
for (const file of all.filter((f) => f.endsWith(".js"))) {
  if (!first.has(`assets/${file}`))
    largest = Math.max(largest, (await size(`assets/${file}`)) / 1000);
}
report("largest lazy chunk", largest, LAZY_KB);

const fonts = all.filter((f) => /\.(woff2?|ttf|otf|eot)$/.test(f));
if (fonts.length > 0) {
  failed = true;
  console.log(`OVER  font files: ${fonts.join(", ")}`);
}
const html = await readFile(join(dist, "index.html"), "utf8");
for (const placeholder of ["__WEIR_BASE__", "__WEIR_NONCE__"]) {
  if (!html.includes(placeholder)) {
    failed = true;
    console.log(`index.html lacks ${placeholder}`);
  }
}
if (/<script(?![^>]*\ssrc=)/.test(html)) {
  failed = true;
  console.log("index.html has an inline script");
}
process.exit(failed ? 1 : 0);
