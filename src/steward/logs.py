"""Structured logs on standard error: JSON lines, or readable ones on a terminal. Secrets are masked in every field.

A log line has a sentence, a machine-readable ``action``, and the ids of the request, plan, job and workspace it is about.
"""

import logging
import sys
from typing import Any

import structlog

from steward.redaction import redact


def _mask(_logger: Any, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return redact(dict(fields))


def configure_logs(level: str = "info") -> None:
    """Send logs of this process to standard error, from ``level`` (``debug``, ``info``, ``warning``…) upwards."""
    readable = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
