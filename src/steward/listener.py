"""What every bell rings, on each engine: it remembers a ring until somebody waits for it, so none is missed in between."""

import asyncio


class Listener:
    """Remembers that the bell rang until somebody waits for it."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or the next who does."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return True if it rang since the last wait, or rings within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
