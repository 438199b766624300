/* Prints name, version and licence of every package that ends up in the built app, one a line with
 * tabs between; fails on a licence that was not looked at. */
import { readFile } from "node:fs/promises";

const allowed = new Set([
  "MIT",
  "ISC",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "0BSD",
  "Unlicense",
]);
const root = new URL("../", import.meta.url);
const lock = JSON.parse(await readFile(new URL("package-lock.json", root), "utf8"));

const seen = new Map();
let unknown = 0;

/* Where node looks for a package that `from` asks for. */
function find(from, name) {
  for (let base = from; ; base = base.slice(0, base.lastIndexOf("/node_modules/"))) {
    const path = base ? `${base}/node_modules/${name}` : `node_modules/${name}`;
    if (lock.packages[path]) return path;
    if (!base) return null;
    if (!base.includes("/node_modules/")) base = "/node_modules/";
  }
}

async function visit(path) {
  if (seen.has(path)) return;
  const entry = lock.packages[path];
  if (entry.dev) return;
  let licence = entry.license;
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  if (!licence) {
    const manifest = JSON.parse(await readFile(new URL(`${path}/package.json`, root), "utf8"));
    licence = manifest.license ?? "none stated";
  }
  seen.set(path, `${name}\t${entry.version}\t${licence}`);
  if (!allowed.has(licence)) {
    unknown++;
    console.error(`not looked at: ${name} ${entry.version} ${licence}`);
  }
  const needed = { ...entry.dependencies, ...entry.optionalDependencies };
  for (const other of Object.keys(needed)) {
    const next = find(path, other);
    if (next) await visit(next);
  }
}

for (const name of Object.keys(lock.packages[""].dependencies)) await visit(`node_modules/${name}`);
for (const line of [...new Set(seen.values())].toSorted()) console.log(line);
process.exit(unknown > 0 ? 1 : 0);
