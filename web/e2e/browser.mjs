/* A browser that counts what the content security policy refused, and looks at pages with axe. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axeSource = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const flags = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launch() {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: root ? ["--no-sandbox", ...flags] : flags,
  });
}

/* What went wrong in any page: filled by watch(), read at the end. */
export const trouble = { csp: [], errors: [] };

export async function watch(context) {
  await context.exposeBinding("reportViolation", (_source, text) => trouble.csp.push(text));
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(
        `${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`,
      );
    });
  });
  context.on("weberror", (error) => trouble.errors.push(String(error.error())));
  context.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) trouble.csp.push(message.text());
  });
}

/* Both themes; gives one line for each violation. */
export async function axe(page, name) {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.waitForTimeout(150);
    if (!(await page.evaluate("Boolean(window.axe)"))) await page.evaluate(axeSource);
    const violations = await page.evaluate(async () => {
      /* Base UI's guards hand the focus on at once: nobody can stay on them. */
      const context = { exclude: [["[data-base-ui-focus-guard]"]] };
      const menu = document.querySelector("[role=menu]") !== null;
      const result = await window.axe.run(context, {
        /* an open menu stands at the end of the page, in no landmark */
        rules: { region: { enabled: !menu } },
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      });
      return result.violations.map((violation) => ({
        id: violation.id,
        nodes: violation.nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary}`),
      }));
    });
    for (const { id, nodes } of violations) {
      found.push(`${name}, ${colorScheme}: ${id}\n    ${nodes.slice(0, 4).join("\n    ")}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  return found;
}
