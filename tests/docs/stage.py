"""Performs a page: its files are saved, its commands typed, in a folder where nothing was before.

A command of Steward runs in this process, as the installed program would; anything else runs in a shell. Where a page stands for
an id of the reader's own (``job_01kb…``), one is found or made that the command can be about.
"""

import json
import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter

import steward.actions
from steward.plan import PlannedAction
from steward.web.answers import JobDetail
from steward.web.openapi import answers
from tests.cli.conftest import LIMIT_S, STEWARD, Ended, Process, Shell, environment
from tests.docs.reading import Block, commands_in

ID: Final = re.compile(r"\b(job|plan|appr|key)_01kb2w8v9c0000000000000a\b")
_SERVER: Final = re.compile(r"((?:[A-Z_]+=\S+ +)*)steward (up|serve|worker)\b(.*)")
_EXPORT: Final = re.compile(r"export ([A-Z_]+)=(.*)")
_READY: Final = {"up": "Steward is up", "serve": "Serving at ", "worker": "Working on "}
_OF_A_SHELL: Final = "-completion"
_ASKING: Final = ("steward run ", "steward approvals approve ")
_IN_A_SHELL: Final = re.compile(r"\$\(|[|<>;]|\$[A-Z_]")
ASKING: Final = '{"rules": ["ask_before_write"]}'
NAMES: Final = {
    **vars(steward.actions),
    "Annotated": Annotated,
    "router": APIRouter(),
    "answers": answers,
    "JobDetail": JobDetail,
}
"""What stands around an excerpt of Python."""
ODD_ACTIONS: Final = str(Path(__file__).parents[1] / "cli")


@dataclass
class Stage:
    """A folder, an environment, and what runs there."""

    folder: Path
    shell: Shell
    env: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)
    """What a page writes for something of the reader's own, and what it is here."""
    codes: dict[str, int] = field(default_factory=dict)
    """Beginnings of commands that end otherwise than with 0, as the page says."""
    processes: list[Process] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, shell: Shell, **more: str) -> "Stage":
        """Return a stage in ``folder``, with the program on the path."""
        env = environment(folder / ".steward", PYTHONPATH=ODD_ACTIONS, ODD_FOLDER=str(folder), **more)
        env["PATH"] = f"{Path(STEWARD).parent}{os.pathsep}{env['PATH']}"
        shell.use(env)
        return cls(folder, shell, env)

    @property
    def home(self) -> Path:
        """The data folder of what runs here."""
        return self.folder / ".steward"

    def close(self) -> None:
        """End what was started."""
        for process in self.processes:
            process.close()
        self.processes.clear()

    def up(self, **more: str) -> None:
        """Start ``steward up`` with a few odd actions, and give away where it is as a page does."""
        self._serve("up", {"STEWARD_ACTIONS": "odd_actions", **more})
        address = json.loads((self.home / "up.json").read_text())
        self.env |= {
            "STEWARD_URL": address["url"],
            "STEWARD_API_KEY": address["api_key"],
            "STEWARD_SECRET_KEY": (self.home / "secret.key").read_text(),
        }
        self.shell.use(self.env)

    def perform(self, block: Block) -> None:
        """Save the block, or type it."""
        if block.language == "sh":
            for command in commands_in(block):
                self.type(command)
        elif block.file is not None:
            (self.folder / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, block.page, "exec"), {**NAMES})
        elif block.language == "cedar":
            (self.folder / "shown.cedar").write_text(block.text)
            self.type("steward policy put shown shown.cedar")
        else:
            assert block.language == "json", f"{block.page}: nobody says what becomes of block {block.number}"
            for step in json.loads(block.text):
                PlannedAction.model_validate(step)

    def type(self, command: str) -> None:
        """Run one command and hold its exit code against what the page says."""
        for word, meant in self.words.items():
            command = command.replace(word, meant)
        if server := _SERVER.fullmatch(command):
            self._serve(server[2], dict(part.split("=", 1) for part in server[1].split()))
            return
        if exported := _EXPORT.fullmatch(command):
            self.env[exported[1]] = self._in_a_shell(f"printf %s {exported[2]}").out
            self.shell.use(self.env)
            return
        known: dict[str, str] = {}
        command = ID.sub(lambda found: known.setdefault(found[1], self.supply(found[1], command)), command)
        if command.startswith(_ASKING) and "--yes" not in command:
            command += " --yes"  # who reads the page answers
        if _OF_A_SHELL in command:
            command += "; :"  # it asks which shell it was typed in, and a last command takes the shell's place
        simple = command.startswith("steward ") and not _IN_A_SHELL.search(re.sub(r"'[^']*'", "", command))
        ended = self.shell.steward(*shlex.split(command, comments=True)[1:]) if simple else self._in_a_shell(command)
        self.said.append(ended.out + ended.err)
        expected = next((code for start, code in self.codes.items() if command.startswith(start)), 0)
        if ended.code != expected and command.startswith("cat "):  # somebody who looks for a file looks again
            ended = self._until_it_is_there(command)
        assert ended.code == expected, f"{command}\n{ended.out}\n{ended.err}"
        assert "Traceback" not in ended.err
        if command.startswith("steward keys create") and "--json" not in command:
            self.words["stw_…"] = ended.out.strip()
        if command.startswith("steward workspaces settings default"):
            self._settled(shlex.split(command)[-1])

    def _until_it_is_there(self, command: str) -> Ended:
        deadline = time.monotonic() + LIMIT_S
        while (ended := self._in_a_shell(command)).code != 0 and time.monotonic() < deadline:
            pass
        return ended

    def supply(self, kind: str, command: str) -> str:
        """Return an id of that kind that the command can be about."""
        own = self.env.pop("STEWARD_API_KEY", None)  # what has to be there for it is made by the machine's own key
        url = self.env.pop("STEWARD_URL", None)
        self.shell.use(self.env)
        try:
            return getattr(self, f"_some_{kind}")(command)
        finally:
            self.env |= {"STEWARD_API_KEY": own} if own else {}
            self.env |= {"STEWARD_URL": url} if url else {}
            self.shell.use(self.env)

    def _some_job(self, command: str) -> str:
        if "cancel" in command:
            return self._scheduled()["job_ids"][0]
        status, sentence = "completed", "say hello to ann"
        if "retry" in command:
            status, sentence = "failed", "refuse everything"
        elif "resolve" in command:
            status, sentence = "unknown", "doubt everything"
        jobs = self.shell.json("jobs", "list", "--status", status)["jobs"]
        if not jobs:
            self.shell.steward("run", "--yes", sentence)
            jobs = self.shell.json("jobs", "list", "--status", status)["jobs"]
        return jobs[0]["job_id"]

    def _some_plan(self, command: str) -> str:
        if "cancel" in command:
            return self._scheduled()["plan_id"]
        if "--plan" in command and " run " in command:
            return self.shell.json("plan", "say hello to ann")["plan_id"]
        self.shell.steward("run", "--yes", "say hello to ann")
        return self.shell.json("plans", "list")["plans"][0]["plan_id"]

    def _some_appr(self, _command: str) -> str:
        waiting = self.shell.json("approvals", "list")["approvals"]
        if not waiting:
            (self.folder / "asking-first.json").write_text(ASKING)
            self.shell.steward("workspaces", "settings", "default", "--file", "asking-first.json")
            self._settled("asking-first.json")
            assert self.shell.steward("run", "--yes", "write 'hello' to hello.txt").code == 4
            waiting = self.shell.json("approvals", "list")["approvals"]
        self.words["9f86d081…"] = waiting[0]["digest"]
        return waiting[0]["approval_id"]

    def _some_key(self, _command: str) -> str:
        return self.shell.json("keys", "create", "--workspace", "default", "--role", "developer")["key_id"]

    def _scheduled(self) -> dict[str, Any]:
        """Return what was submitted for a time far ahead, so that it can be cancelled."""
        from steward.cli.client import Client

        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
        action = {"action_id": "compute", "params": {"value": 1}}
        with Client.here() as client:
            return client.post("/ai/execute", {"actions": [action], "run_at": later})

    def _settled(self, file: str) -> None:
        """Return once the server knows the settings that were written beside it."""
        wanted = set(json.loads((self.folder / file).read_text()).get("rules", ()))
        deadline = time.monotonic() + LIMIT_S
        while {rule["name"] for rule in self.shell.json("policy", "list")["rules"] if rule["on"]} & {
            "ask_before_write"
        } != wanted & {"ask_before_write"}:
            assert time.monotonic() < deadline

    def _serve(self, kind: str, given: dict[str, str]) -> None:
        if kind == "up":  # one at a time has this home
            self.close()
        env = {**self.env, **given}
        process = Process.start(env, kind, *(() if kind == "worker" else ("--port", "0")))
        self.processes.append(process)
        process.log.wait_for(_READY[kind])
        if kind == "serve":
            self.words["https://steward.example.com"] = process.url()

    def _in_a_shell(self, command: str) -> Ended:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)
