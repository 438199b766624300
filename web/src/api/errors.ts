import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"];

/* "could not reach it" → "Could not reach it.": the server's reasons, as people read them. */
export function asSentence(text: string): string {
  if (text === "") return "";
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…:)]$/.test(begun) ? begun : `${begun}.`;
}

/* What every failed call throws: the server's problem, or one of our own for a failed network. */
export class ApiError extends Error {
  readonly problem: Problem;
  readonly retryAfterSeconds: number | null;

  constructor(problem: Problem, retryAfterSeconds: number | null = null) {
    super(asSentence(problem.detail || problem.title));
    this.name = "ApiError";
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  get status(): number {
    return this.problem.status;
  }

  /* The last word of the problem's type, as in `invalid-input`. */
  get kind(): string {
    return this.problem.type.split(":").at(-1) ?? "";
  }

  /* Worth asking again without any change. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Problem).type === "string" &&
    typeof (value as Problem).title === "string"
  );
}

export function networkProblem(): Problem {
  return {
    type: "urn:weir:problem:network",
    title: "No connection",
    status: 0,
    detail: "The server could not be reached.",
    instance: "",
  };
}

/* A proxy in between may answer with something that is no problem document. */
export function toApiError(response: Response, body: unknown): ApiError {
  const requestId = response.headers.get("x-request-id") ?? "";
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  if (isProblem(body)) {
    return new ApiError(
      { ...body, status: body.status || response.status, instance: body.instance || requestId },
      retryAfter,
    );
  }
  return new ApiError(
    {
      type: "about:blank",
      title: response.statusText || "Error",
      status: response.status,
      detail: `The server answered ${response.status}${response.statusText ? ` ${response.statusText}` : ""}.`,
      instance: requestId,
    },
    retryAfter,
  );
}

export function toError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(networkProblem());
}
