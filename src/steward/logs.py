"""Where a server's or worker's log goes: standard error, as lines for a person on a terminal and as JSON anywhere else.

Every line passes the one redaction, so that a secret in a URL, a header or an error never reaches a log.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog

from steward.redaction import redact, redact_text

_TOO_QUIET_TO_SHOW: Final = logging.WARNING
"""Other libraries' lines below this are left out."""


class _Stderr:
    """Standard error that never raises: where a log cannot be written, a full disk say, the work it tells of goes on."""

    def write(self, text: str) -> None:
        """Write ``text`` if that can be."""
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Write out what is held back if that can be."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logs(*, for_good: bool = True, least: int = logging.INFO) -> None:
    """Send the log of this process, from level ``least`` on, to standard error; ``for_good``: loggers may remember it."""
    on_terminal, stderr = sys.stderr.isatty(), _Stderr()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if on_terminal else "iso", utc=not on_terminal),
    ]
    shown: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _redacted]
    shown.append(structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer())
    structlog.configure(
        processors=[*shared, *shown],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stderr)),
        cache_logger_on_first_use=for_good,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown],
        )
    )
    logging.basicConfig(handlers=[handler], level=_TOO_QUIET_TO_SHOW, force=True)


def _redacted(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    safe = redact(dict(line))
    if isinstance(trace := safe.get("exception"), str):
        safe["exception"] = redact_text(trace)
    return safe
