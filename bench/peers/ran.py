"""What every body does: note, in a file that all share, when it ran. A microsecond, and no round trip."""

import os
import struct
import time
from typing import Any

NOTE = struct.Struct("<d")
_file = os.open(os.environ["PEERS_RAN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
TEXT = "Dear customer, the report that you asked for is ready. It covers seven days and lists each message. " * 2


def payload(number: int) -> dict[str, Any]:
    """Return what a job is about: some 300 bytes of JSON."""
    return {"to": f"user{number:06d}@example.com", "subject": "Your weekly report", "text": TEXT, "i": number}


def ran(_: Any) -> dict[str, bool]:
    """Note the moment, and return what an action would."""
    os.write(_file, NOTE.pack(time.perf_counter()))
    return {"ok": True}


def moments() -> list[float]:
    """Return when bodies ran."""
    with open(os.environ["PEERS_RAN"], "rb") as noted:  # noqa: PTH123 - no library of ours in this environment
        return [moment for (moment,) in NOTE.iter_unpack(noted.read())]
