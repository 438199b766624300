import createClient from "openapi-fetch";
import { ApiError, networkProblem, toApiError } from "./errors";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Me = Schemas["Me"];
export type Key = Schemas["Key"];
export type ModelTask = Schemas["ModelTask"];
export type Model = Schemas["Model"];
export type Upstream = Schemas["Upstream"];
export type Session = Schemas["Session"];
export type Thread = Schemas["Thread"];
export type ThreadDetail = Schemas["ThreadDetail"];
export type Message = Schemas["Message"];
export type Parameters = Schemas["Parameters"];
export type RunUsage = Schemas["RunUsage"];

/* Where the app lies, without a slash at the end: the server writes it into <base href>, so that
 * the same build also works below a path. */
export const baseUrl = new URL(".", document.baseURI).href.replace(/\/$/, "");

/* The path part alone, "/" at the root: for the router. */
export const basePath = new URL(".", document.baseURI).pathname;

export const api = createClient<paths>({
  baseUrl,
  credentials: "same-origin",
  fetch: (request) => globalThis.fetch(request),
});

type Answer<T> = { data?: T; error?: unknown; response: Response };

const signedOutListeners = new Set<() => void>();

/* Calls back whenever the server says that there is no session any more. */
export function onSignedOut(listener: () => void): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

export function reportSignedOut(): void {
  for (const listener of signedOutListeners) listener();
}

/* Waits for an answer and gives its body; throws ApiError for anything that is not a success. */
export async function unwrap<T>(pending: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await pending;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new ApiError(networkProblem());
  }
  if (!answer.response.ok) {
    const error = toApiError(answer.response, answer.error);
    if (error.status === 401 && error.kind === "unauthenticated") reportSignedOut();
    throw error;
  }
  return answer.data as T;
}
