"""``steward audit``: who did what and why, whether the record of it is whole, and how to prove it to somebody else."""

from pathlib import Path
from typing import Annotated, Any

import typer

from steward.cli.exits import CommandFailed, ExitCode
from steward.cli.options import All, AsJson, Cursor, Limit, PlanId, about, group

app = group("Read the audit, check it, and take away the evidence of a plan.")
_VERIFY_TIMEOUT_S = 600.0


@app.command("list")
@about("workspace")
def list_records(
    *,
    limit: Limit = 20,
    kind: Annotated[str | None, typer.Option(help="Only this kind, e.g. request.denied.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this key or member did.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only records about this plan.")] = None,
    cursor: Cursor = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """List records, newest first.

    Example: steward audit list --kind policy.decided
    """
    from steward.cli.client import Client
    from steward.cli.render import ago, print_json, say_there_is_more, show_table

    _require_kind(kind)
    with Client.here() as client:
        page = client.listing(
            "/audit", "records", every=every, limit=limit, cursor=cursor, kind=kind, actor=actor, plan_id=plan
        )
    if as_json:
        print_json(page)
        return
    rows = [
        (record["sequence"], ago(record["at"]), _what(record), _who_and_about(record, within_plan=plan is not None))
        for record in page["records"]
    ]
    show_table(("Record", "When", "What, result", "Who, about"), rows, empty="Nothing is recorded yet.")
    say_there_is_more(page)


@app.command("verify")
@about("workspace")
def verify(
    *,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Check this evidence file; needs no server.")
    ] = None,
    public_key: Annotated[
        list[str] | None, typer.Option("--public-key", metavar="HEX", help="The key to trust; repeatable. With --file.")
    ] = None,
    noted: Annotated[
        str | None, typer.Option(metavar="RECORD:HASH", help="What an earlier check printed: it must still be there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the chain of your workspace, or an evidence file. Exits 1 when it is not sound.

    Example: steward audit verify

    Example: steward audit verify --file evidence.json --public-key 3b6a…
    """
    if file is not None:
        if noted is not None:
            raise typer.BadParameter("--noted goes without --file.")
        _verify_file(file, public_key or [], as_json=as_json)
        return
    if public_key:
        raise typer.BadParameter("--public-key goes with --file.")
    _verify_chain(noted, as_json=as_json)


@app.command("export")
@about("workspace")
def export(
    plan_id: PlanId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to put it; standard output unless given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away the evidence of a plan, as JSON that anybody can check without Steward's server.

    Example: steward audit export plan_01kb2w8v9c0000000000000a --output evidence.json
    """
    import json

    from steward.cli.client import Client
    from steward.cli.render import print_json, say
    from steward.private_file import replace_private

    if output is not None and output.exists() and not force:
        raise CommandFailed(
            f"{output} is there already.", "Give another name, or --force to write over it.", ExitCode.USAGE
        )
    with Client.here() as client:
        evidence = client.get("/audit/export", plan_id=plan_id)
    if output is None:
        print_json(evidence)
        return
    replace_private(output, json.dumps(evidence, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json({"file": str(output), "plan_id": plan_id, "records": len(evidence["records"])})
        return
    say(f"{output} holds {len(evidence['records'])} records. Check it with: steward audit verify --file {output}")


def _require_kind(kind: str | None) -> None:
    """Refuse a kind that nothing is ever recorded as."""
    from steward.audit import AuditKind
    from steward.event import EventType

    kinds = sorted({*AuditKind, *EventType})
    if kind is not None and kind not in kinds:
        raise CommandFailed(f"There is no kind '{kind}'; kinds are {', '.join(kinds)}.", code=ExitCode.USAGE)


def _verify_chain(noted: str | None, *, as_json: bool) -> None:
    from steward.cli.client import Client
    from steward.cli.render import plain, print_json, show, word

    with Client.here() as client:
        verdict = client.get("/audit/verify", timeout_s=_VERIFY_TIMEOUT_S, noted=noted)
    whose = verdict["workspace_id"]
    if as_json:
        print_json(verdict)
    elif verdict["sound"]:
        show(word("ok") + plain(f" {verdict['records']} records of {whose}, signed up to record {verdict['sealed']}."))
        show(plain(f"Note this elsewhere, to check later with --noted: {verdict['head']}:{verdict['hash']}", "dim"))
        for key in verdict["keys"]:
            show(plain(f"public key {key['public_key']}{'' if key['signs'] else ' (earlier)'}", "dim"))
    _fail_unless_sound(verdict, f" This was about the chain of {whose}.")


def _verify_file(file: Path, public_keys: list[str], *, as_json: bool) -> None:
    from dataclasses import asdict

    from steward.cli.render import plain, print_json, say, show, word
    from steward.errors import Invalid
    from steward.evidence import check_evidence, read_evidence

    try:
        document = read_evidence(file.read_text(encoding="utf-8"))
    except (Invalid, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} is not an evidence file: it is not JSON.", code=ExitCode.USAGE) from error
    verdict = asdict(check_evidence(document, [key.strip().lower() for key in public_keys]))
    if as_json:
        print_json(verdict)
    elif verdict["sound"]:
        show(word("ok") + plain(f" {verdict['records']} records of {verdict['plan_id']} are as they were signed."))
        if not public_keys:
            say(f"Signed with the key {verdict['public_key']}: compare it with the one you know, or give --public-key.")
    _fail_unless_sound(verdict)


def _fail_unless_sound(verdict: dict[str, Any], whose: str = "") -> None:
    if not verdict["sound"]:
        where = "" if verdict["first_bad"] is None else f"From record {verdict['first_bad']} on it cannot be relied on."
        raise CommandFailed(verdict["problem"], f"{where}{whose}".strip())


def _what(record: dict[str, Any]) -> str:
    rule = f" by {record['rule']}" if record["rule"] else ""
    return f"{record['kind']}\n{record['result']}{rule}"


def _who_and_about(record: dict[str, Any], *, within_plan: bool) -> str:
    """Return two ids, a line each: who did it, and what it was about."""
    facts = record["facts"]
    who = record["actor_id"] or facts.get("on_behalf_of") or ""
    named = facts.get("approval_id") or facts.get("key_id") or facts.get("actor_id")
    about_what = (record["job_id"] or named if within_plan else record["plan_id"]) or named or facts.get("route")
    return "\n".join(line for line in (who, about_what) if line)
