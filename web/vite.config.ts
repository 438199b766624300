import { fileURLToPath } from "node:url";
import { transformAsync } from "@babel/core";
import { lingui } from "@lingui/vite-plugin";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import type { Plugin } from "vite";

/* Lingui's macros, on the files that use them only; types and JSX are left to Vite. */
function linguiMacros(): Plugin {
  return {
    name: "weir:lingui-macros",
    enforce: "pre",
    async transform(code, id) {
      if (!/\.tsx?$/.test(id) || !code.includes("@lingui/")) return null;
      const result = await transformAsync(code, {
        filename: id,
        babelrc: false,
        configFile: false,
        sourceMaps: true,
        parserOpts: { plugins: ["typescript", "jsx"] },
        plugins: ["@lingui/babel-plugin-lingui-macro"],
      });
      return result?.code ? { code: result.code, map: result.map } : null;
    },
  };
}

/* `npm run dev` has no server that fills the placeholders of index.html. */
function devPlaceholders(): Plugin {
  return {
    name: "weir:dev-placeholders",
    apply: "serve",
    transformIndexHtml: {
      order: "pre",
      handler: (html) => html.replaceAll("__WEIR_BASE__", "/").replaceAll("__WEIR_NONCE__", "dev"),
    },
  };
}

const backend = process.env.WEIR_API ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [linguiMacros(), react(), lingui(), tailwindcss(), devPlaceholders()],
  resolve: {
    alias: {
      "@": fileURLToPath(new URL("./src", import.meta.url)),
      /* React has had this hook for years: no stand-in is needed */
      "use-sync-external-store/shim/with-selector": "use-sync-external-store/with-selector.js",
    },
  },
  server: { proxy: { "/api": backend, "/v1": backend } },
  build: {
    target: ["chrome123", "firefox121", "safari17.5"],
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    cssCodeSplit: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        /* a few chunks for what many pages share, or a page would need twenty requests */
        codeSplitting: {
          groups: [
            {
              name: "core",
              priority: 3,
              tags: ["$initial"],
            },
            {
              name: "common",
              priority: 2,
              test: /node_modules\/(lucide-react|@tanstack\/(react-query|query-core))\/|src\/components\/(?!markdown)(?!ui\/\w+-impl)|src\/lib\//,
            },
          ],
        },
      },
    },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["src/testing/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    testTimeout: 60_000,
  },
});
