import { i18n, type Messages } from "@lingui/core";
import { messages } from "./locales/en.po";

/* English is the only language for now. Each feature brings its own catalogue with its code. */
const locale = "en";

export function addMessages(more: Messages): void {
  i18n.load(locale, more);
}

addMessages(messages);
i18n.activate(locale);

export { i18n };
