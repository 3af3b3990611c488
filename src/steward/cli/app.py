"""Puts the commands together and turns every foreseen error into one sentence and an exit code."""

import sys
from typing import Final

import typer

from steward.cli import (
    actions,
    approvals,
    audit,
    doctor,
    isolation_audit,
    jobs,
    keys,
    members,
    plans,
    policies,
    run_sentence,
    schema,
    serve,
    up,
    version,
    workspaces,
)
from steward.cli.exits import CommandFailed, ExitCode
from steward.errors import BadRequest, ConfigurationError, Invalid, PolicyDenied, StewardError

_EPILOG: Final = (
    'Start with [bold]steward up[/] in one terminal and [bold]steward run "…"[/] in another.\n\n'
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by policy, 4 waiting for an approval."
)

_ADVICE: Final = {
    "unknown_key": "'steward keys list' shows what there is.",
    "unknown_member": "'steward members list' shows who is there.",
    "unknown_workspace": "'steward workspaces list' shows what there is.",
}
"""What to do next about a refusal of this machine's own directory."""
_OF_A_FILE: Final = "Look at the path, whether this account may use it, and whether the disk has room."

app = typer.Typer(
    name="steward",
    help="Say what you want done; see the plan; have it carried out.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MACHINE: Final = "Run it"
_WORK: Final = "Get work done"
_MANAGE: Final = "Look after it"
app.command("up", rich_help_panel=_MACHINE)(up.up)
app.command("serve", rich_help_panel=_MACHINE)(serve.serve)
app.command("worker", rich_help_panel=_MACHINE)(serve.worker)
app.command("plan", rich_help_panel=_WORK)(run_sentence.plan)
app.command("run", rich_help_panel=_WORK)(run_sentence.run)
app.add_typer(plans.app, name="plans", rich_help_panel=_WORK)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_WORK)
app.add_typer(approvals.app, name="approvals", rich_help_panel=_WORK)
app.add_typer(actions.app, name="actions", rich_help_panel=_WORK)
app.add_typer(workspaces.app, name="workspaces", rich_help_panel=_MANAGE)
app.add_typer(members.app, name="members", rich_help_panel=_MANAGE)
app.add_typer(keys.app, name="keys", rich_help_panel=_MANAGE)
app.add_typer(audit.app, name="audit", rich_help_panel=_MANAGE)
app.add_typer(policies.app, name="policy", rich_help_panel=_MANAGE)
app.add_typer(schema.app, name="schema", rich_help_panel=_MANAGE)
app.command("doctor", rich_help_panel=_MANAGE)(doctor.doctor)
app.command("isolation-audit", rich_help_panel=_MANAGE)(isolation_audit.isolation_audit)
app.command("version", rich_help_panel=_MANAGE)(version.version)


def run() -> None:
    """Run the command that the process was called with, and exit."""
    try:
        app()
    except CommandFailed as failed:
        _say(failed.sentence, failed.advice)
        sys.exit(failed.code)
    except StewardError as error:
        _say(error.detail, _ADVICE.get(error.stable_code, ""))
        sys.exit(_code_of(error))
    except OSError as error:
        _say(f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}.", _OF_A_FILE)
        sys.exit(ExitCode.FAILED)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        _say(f"Something went wrong that nobody foresaw: {type(error).__name__}.", "PYTHONDEVMODE=1 shows where.")
        sys.exit(ExitCode.FAILED)


def _code_of(error: StewardError) -> ExitCode:
    if isinstance(error, PolicyDenied):
        return ExitCode.REFUSED
    return ExitCode.USAGE if isinstance(error, (ConfigurationError, BadRequest, Invalid)) else ExitCode.FAILED


def _say(sentence: str, advice: str) -> None:
    from steward.cli.render import complain

    complain(sentence, advice)
