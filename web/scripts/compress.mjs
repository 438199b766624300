/* Makes .br and .gz beside each file of dist that shrinks by it, so that the server only sends
 * files. index.html is left out: the server fills its placeholders for each answer. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

await rm(join(dist, ".vite"), { recursive: true, force: true, maxRetries: 2 }).catch(
  () => undefined,
);

const entries = await readdir(dist, { recursive: true, withFileTypes: true });
for (const entry of entries) {
  if (!entry.isFile() || !/\.(js|css|svg|json|txt|webmanifest)$/.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const data = await readFile(path);
  if (data.length < 512) continue;
  const small = await brotli(data, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
    },
  });
  const zipped = await zip(data, { level: 9 });
  if (small.length < data.length) await writeFile(`${path}.br`, small);
  if (zipped.length < data.length) await writeFile(`${path}.gz`, zipped);
}
