"""The doorbell: one process's commit wakes another, and no ring that matters is lost."""

import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from steward.database import Doorbell
from tests.turns import turn

pytestmark = pytest.mark.anyio


_LISTENER = """
import asyncio, sys
from pathlib import Path
from steward.database import Doorbell
async def main():
    bell = Doorbell(Path(sys.argv[1]))
    with bell.listen("work") as listener:
        print("listening", flush=True)
        print(await listener.wait(30), flush=True)
        print(await listener.wait(0), flush=True)
    bell.close()
asyncio.run(main())
"""


def listening_process(folder: Path) -> subprocess.Popen[str]:
    """Start a process that listens for work, and return when it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTENER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "listening\n"
    return process


async def flushed() -> None:
    """Let the bell send what it has to send."""
    for _ in range(3):
        await turn()


@pytest.mark.slow
async def test_the_doorbell_wakes_another_process(tmp_path: Path) -> None:
    """One ring wakes it once; a ring for another topic does not."""
    folder = tmp_path / "bells"
    bell = Doorbell(folder)
    with listening_process(folder) as other:
        bell.ring("events")
        await flushed()
        bell.ring("work")
        await flushed()
        out, _ = other.communicate(timeout=40)
    assert out == "True\nFalse\n"
    bell.close()
    assert list(folder.iterdir()) == []


@pytest.mark.slow
async def test_a_process_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    """Its socket is left behind; the next ring removes it and reaches the living."""
    folder = tmp_path / "bells"
    bell = Doorbell(folder)
    with listening_process(folder) as killed, listening_process(folder) as living:
        killed.kill()
        killed.wait()
        assert len(list(folder.iterdir())) == 2
        bell.ring("work")
        await flushed()
        out, _ = living.communicate(timeout=40)
    assert out == "True\nFalse\n"
    assert list(folder.iterdir()) == []
    bell.close()


async def test_a_ring_before_the_wait_is_not_lost(tmp_path: Path) -> None:
    """It is remembered once, however often it rang."""
    bell = Doorbell(tmp_path / "bells")
    with bell.listen("work") as listener:
        bell.ring("work")
        bell.ring("work")
        assert await listener.wait(0) is True
        assert await listener.wait(0) is False
    bell.close()


async def test_two_bells_that_start_in_the_same_moment_hear_each_other(tmp_path: Path) -> None:
    """A listener that appears right after somebody rang is found by the very next ring, however coarse file times are."""
    for round_number in range(20):
        folder = tmp_path / str(round_number)
        one, two, three = Doorbell(folder), Doorbell(folder), Doorbell(folder)
        with one.listen("work") as first:
            two.ring("work")
            await flushed()
            assert await first.wait(5)
            with three.listen("work") as late:
                two.ring("work")
                await flushed()
                assert await late.wait(5)
        for bell in (one, two, three):
            bell.close()


async def test_a_full_mailbox_is_left_alone(tmp_path: Path) -> None:
    """Whoever does not read its rings keeps its socket: it is busy, not dead."""
    folder = tmp_path / "bells"
    folder.mkdir()
    busy = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    busy.bind(str(folder / "work-busy.sock"))
    bell = Doorbell(folder)
    for _ in range(600):
        bell.ring("work")
        await flushed()
    assert (folder / "work-busy.sock").exists()
    bell.close()
    busy.close()


async def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    """Socket paths are short by nature; folders need not be."""
    folder = tmp_path / ("a" * 120) / "bells"
    one, two = Doorbell(folder), Doorbell(folder)
    with one.listen("work") as listener:
        two.ring("work")
        await flushed()
        assert await listener.wait(5)
    one.close()
    two.close()


async def test_a_closed_bell_opens_nothing_again(tmp_path: Path) -> None:
    """A ring that comes too late is dropped; no socket or folder is left open."""
    folder = tmp_path / "bells"
    bell = Doorbell(folder)
    bell.ring("work")
    bell.close()
    bell.ring("work")
    await flushed()
    assert (bell._sender, bell._directory) == (None, -1)
    with suppress(FileNotFoundError):
        assert list(folder.iterdir()) == []


async def test_a_ring_about_somebody_wakes_nobody_else(tmp_path: Path) -> None:
    """Here and in another bell on the same folder; who listens for all hears all, and a ring for all is heard by all."""
    here, there = Doorbell(tmp_path / "bells"), Doorbell(tmp_path / "bells")
    with (
        here.listen("events", "acme") as acme,
        here.listen("events", "beta") as beta,
        here.listen("events") as every,
        there.listen("events", "beta") as far_beta,
        there.listen("events", "acme") as far_acme,
    ):
        here.ring("events", "beta")
        assert await far_beta.wait(5)
        heard = [await one.wait(0) for one in (acme, beta, every, far_acme)]
        assert heard == [False, True, True, False]
        here.ring("events")
        assert [await one.wait(5) for one in (acme, beta, every, far_acme, far_beta)] == [True] * 5
    here.close()
    there.close()


@pytest.mark.parametrize("turns", [1, 20])
async def test_a_crowd_of_rings_loses_nobody(tmp_path: Path, turns: int) -> None:
    """However many are concerned, at once or one after the other behind a full socket, each hears that it is meant."""
    here, there = Doorbell(tmp_path / "bells"), Doorbell(tmp_path / "bells")
    names = [f"workspace-{number}" for number in range(40)]
    with ExitStack() as stack:
        listeners = [stack.enter_context(there.listen("events", name)) for name in names]
        for number, name in enumerate(names):
            here.ring("events", name)
            if number % (len(names) // turns) == 0:
                here._flush()
        await flushed()
        assert all([await listener.wait(5) for listener in listeners])
    here.close()
    there.close()
