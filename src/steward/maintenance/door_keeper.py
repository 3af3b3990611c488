"""Records, once a minute is over, how many more were turned away in it than were recorded one by one."""

from steward.doors import Doors
from steward.maintenance import Duty

_INTERVAL_S = 15.0


def door_keeper(doors: Doors) -> Duty:
    """Return the duty."""

    async def run_once() -> None:
        doors.turn_the_minute()

    return Duty("door keeper", _INTERVAL_S, run_once)
