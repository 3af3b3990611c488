"""The settings of a command that may make this machine's own secret key, which it does only where nothing is sealed yet.

A database that was begun with a key is of no use with another: what is sealed cannot be opened, and the chains that the other one goes
on with are unsound from there. So where the file of the key is missing, after a restore for example, it has to be put back.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steward.settings import Settings


async def settings_with_own_key() -> "Settings":
    """Return the settings, with the secret key of STEWARD_HOME where none is set; it is made on the first start.

    Raises ``ConfigurationError`` where the database was begun with a key and none is here.
    """
    from steward.errors import ConfigurationError
    from steward.settings import KEY_FILE, Settings

    settings = Settings.load(secret_required=False)
    path = settings.home / KEY_FILE
    # The database is asked first: whoever begins one at this moment makes the key before it.
    if not settings.secret_keys and not path.exists() and await _was_begun(settings.database_url) and not path.exists():
        raise ConfigurationError(
            f"STEWARD_SECRET_KEY is not set, and {path} is not there, but the database was begun with a key: put the file back, "
            "or set the variable to that key; with another one nothing that is sealed could be opened."
        )
    return Settings.load(allow_generated_secret=True)


async def _was_begun(url: str) -> bool:
    """Say whether a database holds the public half of a key; one that is not there is not made."""
    from steward.database.engine import Database
    from steward.database.public_keys import any_kept

    if url.startswith("sqlite") and not _is_there(url.removeprefix("sqlite:///")):
        return False
    database = Database(url)
    try:
        return await database.read(any_kept)
    finally:
        await database.aclose()


def _is_there(file: str) -> bool:
    from pathlib import Path

    return Path(file).exists()
