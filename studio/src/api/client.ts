// The one way to the API: typed by its description, with the session's cookie, and with every refusal as a `Problem`.
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./schema";
import type { ProblemDocument } from "./types";

/** Why a request came to nothing, in words that may be shown. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: readonly { pointer: string; detail: string }[] = [],
    readonly requestId: string | null = null,
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }
}

const OFFLINE = "Steward does not answer. It may be restarting, or the connection is gone.";
const signedOut = new Set<(problem: Problem) => void>();

/** Call `listener` whenever the API no longer knows who is asking; returns how to stop. */
export function onSignedOut(listener: (problem: Problem) => void): () => void {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

/** Say that a credential was refused; the stream of events says so too. */
export function tellSignedOut(problem: Problem): void {
  for (const listener of signedOut) listener(problem);
}

/** Return what a refusal says, whatever stands between here and the API. */
export async function problemOf(response: Response): Promise<Problem> {
  const wait = Number(response.headers.get("Retry-After")) || null;
  try {
    return problemFrom((await response.clone().json()) as ProblemDocument, response.status, wait);
  } catch {
    return new Problem(response.status, "unreadable", `The answer was ${response.status} and could not be read.`);
  }
}

/** Return what a problem document says. */
export function problemFrom(said: ProblemDocument, status: number = said.status, wait: number | null = null): Problem {
  return new Problem(status, said.code, said.detail, said.errors ?? [], said.request_id, wait);
}

/** Return whatever went wrong as a `Problem`. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "no_answer", OFFLINE);
}

const refusals: Middleware = {
  async onResponse({ response, request }) {
    if (response.ok) return;
    const problem = await problemOf(response);
    if (problem.status === 401 && !new URL(request.url).pathname.startsWith("/session")) tellSignedOut(problem);
    throw problem;
  },
};

export const api = createClient<paths>({ credentials: "same-origin" });
api.use(refusals);

/** Return the data of an answer; the middleware has thrown for any that is not good. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}
