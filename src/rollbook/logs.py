"""The log on stderr, one event a line: readable text on a terminal, JSON for programs."""

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Literal

import structlog


def configure_logs(form: Literal["auto", "console", "json"]) -> None:
    """Configure the log of this process, also for warnings of libraries and for uncaught exceptions."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.types.Processor] = (
        # The plain renderer: the other one prints local variables, which may be keys.
        [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Logger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, *ending]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # The log line of a call says what is wrong with its form.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    sys.excepthook = _log_unforeseen
    threading.excepthook = lambda error: _log_unforeseen(error.exc_type, error.exc_value, error.exc_traceback)


class _Logger(structlog.WriteLogger):
    """Writes Rollbook's own lines; the standard library's logging would take three times as long."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


def _log_unforeseen(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    cause = (kind, error or kind(), traceback)
    structlog.get_logger("rollbook").critical("unforeseen error", exc_info=cause)
