"""What the tests of Studio look at: a real ``steward up`` with a mailbox and a web page beside it, and people with keys."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from demo.run import Mailbox, mail_server

from tests.cli.conftest import Process, environment

ROOT: Final = Path(__file__).parents[2]
POLICY: Final = """
@reason("Mail is looked at by somebody else first.")
@another_person("true")
forbid (principal, action == Action::"email.send:unattended", resource);
"""


@dataclass
class World:
    """One installation with its surroundings."""

    url: str
    mailbox: Mailbox
    folder: Path
    code: str
    """The one-time code that ``steward up`` printed."""
    api: httpx2.Client
    """The operator's."""
    _admins: dict[str, httpx2.Client] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self.url.rsplit(":", 1)[1])

    def admin(self, workspace_id: str) -> httpx2.Client:
        """Return a client of a workspace's admin; makes the workspace."""
        if workspace_id not in self._admins:
            self.api.post("/workspaces", json={"id": workspace_id, "name": workspace_id.title()}).raise_for_status()
            made = self.api.post(f"/workspaces/{workspace_id}/keys", json={"role": "admin", "name": "the admin"})
            headers = {"Authorization": f"Bearer {made.raise_for_status().json()['key']}"}
            self._admins[workspace_id] = httpx2.Client(base_url=self.url, headers=headers, timeout=30)
        return self._admins[workspace_id]

    def key(self, workspace_id: str, role: str, owner: str) -> dict[str, Any]:
        """Return a new key of a person in a workspace: ``key_id`` and ``key``."""
        admin = self.admin(workspace_id)
        admin.put(f"/members/{owner}", json={"name": owner.title()}).raise_for_status()
        return (
            admin.post("/keys", json={"role": role, "name": f"{owner} at the desk", "owner": owner})
            .raise_for_status()
            .json()
        )

    def client(self, key: str) -> httpx2.Client:
        """Return a client with a key; the caller closes it."""
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def pipe(self, name: str) -> Path:
        """Make the named pipe that ``wait for <name>`` waits for; writing to it lets the wait end."""
        path = self.folder / name
        os.mkfifo(path)
        return path

    def close(self) -> None:
        """Close the clients."""
        for client in (self.api, *self._admins.values()):
            client.close()


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Build Studio if need be, start everything, and stop it."""
    subprocess.run([sys.executable, ROOT / "studio" / "build.py"], check=True)
    with ExitStack() as house:
        mailbox, smtp_port = house.enter_context(mail_server())
        env = environment(
            folder / "home",
            SMTP_URL=f"smtp://127.0.0.1:{smtp_port}",
            SMTP_FROM="Steward <steward@example.com>",
            STEWARD_ACTIONS="studio_actions",
            PYTHONPATH=str(Path(__file__).parent),
            STUDIO_FOLDER=str(folder),
            STEWARD_RATE_LIMITS="off",
        )
        process = Process.start(env, "up", "--port", "0")
        house.callback(process.close)
        process.log.wait_for('"prompt"')
        url = json.loads((folder / "home" / "up.json").read_text())["url"]
        code = process.log.text.split("within five minutes: ")[1].split()[0]
        operator = (folder / "home" / "operator.key").read_text()
        api = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {operator}"}, timeout=30)
        world = World(url, mailbox, folder, code, api)
        house.callback(world.close)
        yield world
