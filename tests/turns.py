"""The event loop's turns, for tests that let it come round instead of letting time pass."""

import asyncio


async def turn() -> None:
    """Let the event loop come round once."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()
