"""What recognising a credential costs: a good key on every request, and a bad one among few keys and among very many."""

import contextlib
import time
from pathlib import Path

from figure import Figure, median
from samples import CLOCK, IDS

from steward.authenticators.api_key import ApiKeyAuthenticator, mint_key
from steward.clock import milliseconds
from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.tables import api_keys
from steward.directories.sql import SqlDirectory
from steward.directory import LOCAL_ACTOR
from steward.errors import Unauthenticated
from steward.identity import Role

_CHUNK = 5_000
_BLOCKS = 40
_BLOCK = 50
"""Credentials shown one after the other before the other side has its turn."""


def _mint() -> tuple[dict[str, object], str]:
    key, token = mint_key(IDS, CLOCK, "bench", Role.DEVELOPER, "bench", None)
    row = {
        "key_id": key.key_id,
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "created_at": milliseconds(key.created_at),
    }
    return row, token


async def _fill(database: Database, count: int) -> None:
    """Keep ``count`` more keys, without the audit, which is not what is measured."""
    for start in range(0, count, _CHUNK):
        rows = [_mint()[0] for _ in range(min(_CHUNK, count - start))]
        await database.write(lambda connection, rows=rows: connection.execute(api_keys.insert(), rows))


async def _microseconds(authenticator: ApiKeyAuthenticator, tokens: list[str]) -> float:
    """Return the processor time, of all threads, that a credential costs, shown one after the other."""
    began = time.process_time()
    for token in tokens:
        with contextlib.suppress(Unauthenticated):
            await authenticator.authenticate(token)
    return (time.process_time() - began) / len(tokens) * 1e6


async def _house(database: Database, keys: int) -> tuple[ApiKeyAuthenticator, str]:
    """Return an authenticator among so many keys, and one that is good."""
    upgrade(database)
    directory = SqlDirectory(database, CLOCK)
    await directory.create_workspace("bench", "Bench", by=LOCAL_ACTOR)
    key, token = mint_key(IDS, CLOCK, "bench", Role.DEVELOPER, "bench", None)
    await directory.add_key(key, by=LOCAL_ACTOR)
    await _fill(database, keys - 1)
    return ApiKeyAuthenticator(directory, CLOCK), token


async def measure(folder: Path, few: int, many: int) -> list[Figure]:
    """Return what a good key costs at the median, and a bad token among many keys beside one among few, taken in turns."""
    small, large = (Database(f"sqlite:///{folder / name}.db") for name in ("few", "many"))
    try:
        (among_few, _), (among_many, good) = await _house(small, few), await _house(large, many)
        usual = [await _microseconds(among_many, [good] * _BLOCK) for _ in range(4 * _BLOCKS)]
        bad: dict[ApiKeyAuthenticator, list[float]] = {among_few: [], among_many: []}
        for number in range(2 * _BLOCKS):  # in turns, and each as often right after the other one as after itself
            among = among_many if number % 4 in {1, 2} else among_few
            bad[among].append(await _microseconds(among, [_mint()[1] for _ in range(_BLOCK)]))
    finally:
        await small.aclose()
        await large.aclose()
    in_few, in_many = median(bad[among_few]), median(bad[among_many])
    return [
        Figure("recognise a good key", median(usual), "µs"),
        Figure(f"refuse a bad token among {many:,} keys", in_many, "µs", f"among {few}", in_few),
    ]
