import { addMessages } from "@/i18n/i18n";
import { messages } from "./locales/en.po";

addMessages(messages);
