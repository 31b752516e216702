"""Structured logs, one event a line, with every secret blacked out before it is written."""

import re
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import structlog

SECRET = re.compile(r"\b(?:sk|rk|pk|whsec)_[A-Za-z0-9_]{6,}|\bth_[A-Za-z]+_[A-Za-z0-9]{12,}")

LOUD = re.compile(r" (?:-v ?|--verbosity[ =])[23]\b")


def default_level(argv: Sequence[str]) -> str:
    """INFO; for a `manage.py` command WARNING, because what it does it says itself. `-v 2` has the log as well."""
    if not argv or Path(argv[0]).name != "manage.py" or "runserver" in argv[1:2]:
        return "INFO"
    return "INFO" if LOUD.search(" ".join(argv)) else "WARNING"


def configure(*, log_format: str, level: str) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING. `log_format` is "console" or "json"."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    for_people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if log_format == "json" else for_people
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    redact,
                    renderer,
                ],
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Stripe's client logs request bodies at debug and info.
            "stripe": {"level": "WARNING"},
            # It warns that a broker of folders has no host name, as if one were missing.
            "kombu.connection": {"level": "ERROR"},
        },
    }


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Black out keys and webhook secrets in every string of a log line, exceptions included."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = SECRET.sub("[secret]", value)
    return event
