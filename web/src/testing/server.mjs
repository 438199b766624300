/* A stand-in for `weir serve`: the same answers as in the tests, and the built app from dist with
 * the headers that the real server sends. For working on the app alone:
 *   npm run mock            then, beside it,  WEIR_API=http://127.0.0.1:8099 npm run dev
 * PORT chooses the port, SETUP=1 begins before set-up, PACE is the milliseconds between words. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { Readable } from "node:stream";
import { createServer as createVite } from "vite";

const root = new URL("../../", import.meta.url).pathname;
const port = Number(process.env.PORT ?? 8099);

const vite = await createVite({
  root,
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  appType: "custom",
  logLevel: "error",
  optimizeDeps: { noDiscovery: true, include: [] },
});
const { getResponse } = await import("msw");
globalThis.document ??= { baseURI: `http://127.0.0.1:${port}/` };
const { makeHandlers } = await vite.ssrLoadModule("/src/testing/handlers.ts");
const { demo } = await vite.ssrLoadModule("/src/testing/demo.ts");

const weir = demo({
  needsSetup: process.env.SETUP === "1",
  paceMs: Number(process.env.PACE ?? 25),
});
const handlers = makeHandlers(weir);

const types = {
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

const security = (nonce) => ({
  "content-security-policy": `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'`,
  "x-content-type-options": "nosniff",
});

async function file(path, reply) {
  const name = normalize(path).replace(/^\/+/, "");
  try {
    const data = await readFile(join(root, "dist", name));
    reply.writeHead(200, {
      "content-type": types[extname(name)] ?? "application/octet-stream",
      "cache-control": "public, max-age=31536000, immutable",
      ...security(""),
    });
    reply.end(data);
  } catch {
    reply.writeHead(404).end();
  }
}

async function index(reply) {
  const nonce = randomBytes(12).toString("base64");
  const html = await readFile(join(root, "dist/index.html"), "utf8");
  reply.writeHead(200, {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-cache",
    ...security(nonce),
  });
  reply.end(html.replaceAll("__WEIR_BASE__", "/").replaceAll("__WEIR_NONCE__", nonce));
}

async function answer(request, reply) {
  const url = new URL(request.url, `http://127.0.0.1:${port}`);
  if (!url.pathname.startsWith("/api/") && !url.pathname.startsWith("/v1/")) {
    return extname(url.pathname) ? file(url.pathname, reply) : index(reply);
  }
  const gone = new AbortController();
  reply.on("close", () => gone.abort());
  const body = request.method === "GET" || request.method === "HEAD" ? null : request;
  const chunks = [];
  if (body) for await (const chunk of body) chunks.push(chunk);
  const response = await getResponse(
    handlers,
    new Request(url, {
      method: request.method,
      headers: Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      body: chunks.length > 0 ? Buffer.concat(chunks) : null,
      signal: gone.signal,
    }),
  );
  if (!response) return reply.writeHead(404).end();
  reply.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return reply.end();
  Readable.fromWeb(response.body)
    .on("error", () => reply.destroy())
    .pipe(reply);
}

createServer((request, reply) => {
  answer(request, reply).catch((error) => {
    console.error(error);
    reply.destroy();
  });
}).listen(port, "127.0.0.1", () => console.log(`mock http://127.0.0.1:${port}`));
