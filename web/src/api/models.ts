import type { Model } from "./client";

/* Whether it can be talked to now or soon: one that is only for embeddings, say, cannot. */
export const chats = (model: Model): boolean =>
  model.enabled && (model.tasks === null || model.tasks.includes("chat"));
