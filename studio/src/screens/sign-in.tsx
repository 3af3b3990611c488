// Where one shows who one is: with a key, or with the code that `steward up` printed. Neither is kept here.
import { useEffect, useRef, useState } from "preact/hooks";
import { useDoing } from "../api/hooks";
import type { Session } from "../api/types";
import { signIn } from "../session";
import { Notice, Refused } from "../ui/notice";
import { focusNextPage } from "../ui/page";

const CODE = /^#code=([a-z0-9-]{1,64})$/;

/** Return the code that the address brought along, and take it out of the address. */
function codeFromAddress(): string {
  const code = CODE.exec(location.hash)?.[1] ?? "";
  if (code) history.replaceState(null, "", location.pathname + location.search);
  return code;
}

export function SignInScreen({ why, onSignedIn }: { why: string | null; onSignedIn(session: Session): void }) {
  const [credential, setCredential] = useState(codeFromAddress);
  const field = useRef<HTMLInputElement>(null);
  const doing = useDoing();
  useEffect(() => {
    document.title = "Sign in · Steward";
    field.current?.focus();
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    void doing.run(async () => {
      const session = await signIn(credential);
      focusNextPage();
      onSignedIn(session);
    });
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <img src="/studio/assets/icon.svg" alt="" width="48" height="48" />
        <h1>Steward</h1>
        <p class="quiet">Say what you want done. See the plan before anything runs.</p>
        {why && <Notice tone="wait">{why}</Notice>}
        <label for="credential">API key or one-time code</label>
        <input
          id="credential"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={credential}
          onInput={(event) => setCredential(event.currentTarget.value)}
          aria-describedby="credential-help"
        />
        <p id="credential-help" class="quiet small">
          <code>steward up</code> prints a code when it starts; it opens one session within five minutes. A key begins with <code>stw_</code>; an admin
          makes it with <code>steward keys create</code>.
        </p>
        <button type="submit" class="main" disabled={doing.busy}>
          {doing.busy ? "Signing in…" : "Sign in"}
        </button>
        <Refused problem={doing.problem} />
      </form>
    </main>
  );
}
