/* Fails when a text in the code is not in its catalogue, or one there is no longer used: reads the
 * texts anew and compares. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const web = new URL("../", import.meta.url).pathname;

const read = () =>
  new Map(
    readdirSync(join(web, "src"), { recursive: true })
      .filter((name) => name.endsWith(".po"))
      .map((name) => [join(web, "src", name), readFileSync(join(web, "src", name), "utf8")]),
  );

/* the date in the head is no text */
const texts = (content) => content.replace(/^"POT-Creation-Date:.*$/m, "");

const before = read();
execFileSync(join(web, "node_modules/.bin/lingui"), ["extract", "--clean"], {
  cwd: web,
  stdio: ["ignore", "ignore", "inherit"],
});
let stale = 0;
for (const [path, content] of read()) {
  const old = before.get(path);
  if (old !== undefined && texts(old) === texts(content)) writeFileSync(path, old);
  else {
    stale++;
    console.error(`was out of date and is rewritten: ${path.slice(web.length)}`);
  }
}
process.exit(stale > 0 ? 1 : 0);
