// The shell: who is signed in, where one can go, and which screen is shown.
import { LocationProvider, Route, Router, useLocation } from "preact-iso";
import { useEffect, useRef, useState } from "preact/hooks";
import { forgetActions } from "./api/actions";
import { forgetNames } from "./api/names";
import { asProblem, onSignedOut, type Problem } from "./api/client";
import type { Session } from "./api/types";
import { SCREENS, type Screen } from "./screens";
import { ActionScreen } from "./screens/action";
import { ActionsScreen } from "./screens/actions";
import { ApprovalScreen } from "./screens/approval";
import { ApprovalsScreen } from "./screens/approvals";
import { AskScreen } from "./screens/ask";
import { AuditScreen } from "./screens/audit";
import { JobScreen } from "./screens/job";
import { JobsScreen } from "./screens/jobs";
import { MissingScreen } from "./screens/missing";
import { PolicyScreen } from "./screens/policy";
import { RequestsScreen } from "./screens/requests";
import { RunScreen } from "./screens/run";
import { SignInScreen } from "./screens/sign-in";
import { WorkspaceScreen } from "./screens/workspace";
import { currentSession, may, SessionContext, signOut, useSession } from "./session";
import { Menu } from "./ui/menu";
import { Loading, Refused } from "./ui/notice";
import { LiveRegion } from "./ui/page";
import { Shortcuts } from "./ui/shortcuts";
import { ThemeSwitch } from "./ui/theme";

type State = { is: "asking" } | { is: "failed"; problem: Problem } | { is: "out"; why: string | null } | { is: "in"; session: Session };

const EXPIRED = "Your session has ended, or its key was revoked. Sign in again; you come back to where you were.";

export function App() {
  const [state, setState] = useState<State>({ is: "asking" });
  const ask = (): void => {
    setState({ is: "asking" });
    currentSession().then(
      (session) => setState(session ? { is: "in", session } : { is: "out", why: null }),
      (error: unknown) => setState({ is: "failed", problem: asProblem(error) }),
    );
  };
  useEffect(ask, []);
  useEffect(() => onSignedOut(() => setState((now) => (now.is === "in" ? { is: "out", why: EXPIRED } : now))), []);
  useEffect(() => {
    forgetActions();
    forgetNames();
  }, [state.is]);
  if (state.is === "asking") return <Loading what="Studio" />;
  if (state.is === "failed") return <Refused problem={state.problem} retry={ask} />;
  if (state.is === "out") return <SignInScreen why={state.why} onSignedIn={(session) => setState({ is: "in", session })} />;
  const leave = (): void => {
    void signOut().finally(() => setState({ is: "out", why: null }));
  };
  return (
    <LocationProvider scope={/^\/(?:$|[?#]|studio\/)/}>
      <SessionContext.Provider value={state.session}>
        <Shell session={state.session} onLeave={leave} />
      </SessionContext.Provider>
    </LocationProvider>
  );
}

function Shell({ session, onLeave }: { session: Session; onLeave(): void }) {
  const screens = SCREENS.filter((screen) => screen.scope === null || may(session, screen.scope));
  const [keys, showKeys] = useState(false);
  return (
    <>
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="top">
        <a class="brand" href="/" aria-label="Steward: ask">
          <img src="/studio/assets/icon.svg" alt="" width="28" height="28" />
          <span>Steward</span>
        </a>
        <Navigation screens={screens} />
        <div class="who">
          <span class="workspace" title={`Signed in as ${session.actor_id}`}>
            <span class="unseen">Workspace </span>
            <bdi>{session.workspace_id}</bdi> <span class="quiet">{session.roles.join(", ")}</span>
          </span>
          <Menu>
            <ThemeSwitch />
            <button type="button" class="bare" onClick={() => showKeys(true)} aria-haspopup="dialog">
              Keys <kbd>?</kbd>
            </button>
            <a href="/docs">API</a>
            <button type="button" class="bare" onClick={onLeave}>
              Sign out
            </button>
          </Menu>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Router>
          <Route path="/" component={Home} />
          <Route path="/studio/plans" component={RequestsScreen} />
          <Route path="/studio/plans/:id" component={RunScreen} />
          <Route path="/studio/approvals" component={ApprovalsScreen} />
          <Route path="/studio/approvals/:id" component={ApprovalScreen} />
          <Route path="/studio/jobs" component={JobsScreen} />
          <Route path="/studio/jobs/:id" component={JobScreen} />
          <Route path="/studio/actions" component={ActionsScreen} />
          <Route path="/studio/actions/:id" component={ActionScreen} />
          <Route path="/studio/policy" component={PolicyScreen} />
          <Route path="/studio/audit" component={AuditScreen} />
          <Route path="/studio/workspace" component={WorkspaceScreen} />
          <Route default component={MissingScreen} />
        </Router>
      </main>
      <Shortcuts screens={screens} open={keys} onOpen={showKeys} />
      <LiveRegion />
    </>
  );
}

/** What `/` shows: Ask, or to a role that asks for nothing the first screen that is its own. */
function Home() {
  const session = useSession();
  const { route } = useLocation();
  const first = SCREENS.find((screen) => screen.scope === null || may(session, screen.scope));
  const elsewhere = first !== undefined && first.path !== "/" ? first.path : null;
  useEffect(() => {
    if (elsewhere !== null) route(elsewhere, true);
  }, [elsewhere]);
  return elsewhere === null ? <AskScreen /> : null;
}

function Navigation({ screens }: { screens: readonly Screen[] }) {
  const { path } = useLocation();
  const nav = useRef<HTMLElement>(null);
  useEffect(() => nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [path]);
  return (
    <nav aria-label="Screens" ref={nav}>
      {screens.map((screen) => {
        const here = screen.path === "/" ? path === "/" : path.startsWith(screen.path);
        return (
          <a key={screen.path} href={screen.path} aria-current={here ? "page" : undefined}>
            {screen.name}
          </a>
        );
      })}
    </nav>
  );
}
