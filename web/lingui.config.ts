import { defineConfig } from "@lingui/cli";
import { formatter } from "@lingui/format-po";

/* One catalogue for each feature, so that its texts load with its code; the rest share one. */
const features = ["auth", "chat", "keys", "admin", "settings"];

export default defineConfig({
  sourceLocale: "en",
  locales: ["en"],
  format: formatter({ lineNumbers: false, printLinguiId: false }),
  orderBy: "message",
  catalogs: [
    {
      path: "src/i18n/locales/{locale}",
      include: ["src/app", "src/components", "src/lib", "src/api"],
      exclude: ["**/*.test.*"],
    },
    ...features.map((name) => ({
      path: `src/features/${name}/locales/{locale}`,
      include: [`src/features/${name}`],
      exclude: ["**/*.test.*"],
    })),
  ],
});
