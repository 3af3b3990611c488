"""Every environment variable, from ``Settings``."""

from pages.markdown import table
from steward.settings import _REFUSED, Settings

_INTRO = """# Settings

Every setting is an environment variable. A value that cannot be used stops the start with one sentence that names the
variable and never repeats the value. A variable that is set but blank counts as unset, except `ACTION_ALLOWLIST` and
`METRICS_WORKSPACE_ALLOWLIST`, where blank means "none of them".

"""
_CLIENT = """
## Variables of the command line

Commands that speak to a server read these two. On the machine of a running `steward up` neither is needed: the commands
find its address and key in `STEWARD_HOME`.

| Variable | Default | Meaning |
|---|---|---|
| `STEWARD_URL` | the `steward up` of this machine, else `http://127.0.0.1:8440` | Where the server listens. |
| `STEWARD_API_KEY` | the key that `steward up` left on this machine | The API key to send. |

## Names that are refused

These names belong to things that are not built yet, or to other software. When one of them is set, the start is refused
rather than the setting ignored.

"""


def make() -> str:
    """Return the page."""
    rows = [(f"`{row.variable}`", _code(row.default), row.help) for row in Settings.table()]
    refused = [(f"`{name}`", f"It {sentence}") for name, sentence in _REFUSED.items()]
    return _INTRO + table(("Variable", "Default", "Meaning"), rows) + _CLIENT + table(("Variable", "Why"), refused)


def _code(text: str) -> str:
    return text if text in {"unset", "off"} else f"`{text}`"
