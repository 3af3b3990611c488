// Who is signed in. The credential is in a cookie that no script can read; what is kept here is only what the API says of it.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { api, data, Problem, problemOf } from "./api/client";
import type { Scope, Session } from "./api/types";

const HINT = "steward.signed-in";

/** Return the session of this browser, or null; asks only where there may be one. */
export async function currentSession(): Promise<Session | null> {
  if (!localStorage.getItem(HINT)) return null;
  try {
    return await data(api.GET("/session"));
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    localStorage.removeItem(HINT);
    return null;
  }
}

/** Open a session with an API key or a one-time code. */
export async function signIn(credential: string): Promise<Session> {
  const given = credential.trim();
  const isKey = given.startsWith("stw_");
  const response = await fetch("/session", {
    method: "POST",
    headers: isKey ? { Authorization: `Bearer ${given}` } : { "Content-Type": "application/json" },
    body: isKey ? null : JSON.stringify({ code: given }),
  });
  if (!response.ok) throw await problemOf(response);
  localStorage.setItem(HINT, "yes");
  return (await response.json()) as Session;
}

/** What was being written when a session ended: kept in this page's memory for whoever signs in again, gone with a sign-out. */
export const unsaved = { sentence: "" };

/** End the session, here and at the server. */
export async function signOut(): Promise<void> {
  localStorage.removeItem(HINT);
  unsaved.sentence = "";
  await api.DELETE("/session");
}

export const SessionContext = createContext<Session | null>(null);

/** Return the session; a screen is shown only while there is one. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("there is no session");
  return session;
}

/** Say whether the session may do what takes `scope`. */
export function may(session: Session, scope: Scope): boolean {
  return session.scopes.includes(scope);
}
