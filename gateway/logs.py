"""What the program says about itself: one JSON object a line, or text for people, always on stderr.

Secrets are removed by the name of their key and by the shape of their value, control characters are escaped,
and long values cut. Partner-supplied values are fields, never part of the message. Never logs payloads.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO


@contextmanager
def _without(name: str) -> Iterator[None]:
    """As if a package were not installed, for what is loaded inside; one that is loaded already stays."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as Python marks what cannot be loaded
    try:
        yield
    finally:
        del sys.modules[name]


# It loads the whole of rich where that is installed, to colour what developers see: we never ask for that.
with _without("rich"):
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "text", "json"]

HIDDEN: Final = "***"
LONGEST: Final = 2_000
"""Characters of a value that are kept."""

_SECRET_KEYS: Final = re.compile(
    r"(^|_)(secret|password|passwd|token|authorization|cookie|pepper|seed|private_key|api_key|master_key)s?$",
    re.IGNORECASE,
)
_SECRET_VALUES: Final = re.compile(
    r"whsec_[A-Za-z0-9+/=]+"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    r"|\bgw[a-z]*_[A-Za-z0-9_]{16,}"
    r"|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",  # a token, whoever has signed it
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_DEPTH: Final = 6


def configure(level: Level, form: Format, clock: Callable[[], int], stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; other libraries' lines pass the same way. `clock`: Unix ms.

    `form` "auto": text where the stream is a terminal, else JSON. Calling it again replaces what was set.
    """
    out = stream or sys.stderr
    is_text = form == "text" or (form == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        stamp(clock),
        structlog.processors.format_exc_info,
        clean,
    ]
    shown: Processor = _text if is_text else structlog.processors.JSONRenderer(ensure_ascii=False)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, shown]
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    lines = logging.StreamHandler(out)
    lines.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(_LEVELS[level])
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `logger("gateway.relay").info("attempt", endpoint=..., status=...)`."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return found


def stamp(clock: Callable[[], int]) -> Processor:
    """A step that adds `at`, RFC 3339 with milliseconds."""

    def add(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(clock() / 1_000, UTC)
        line["at"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return line

    return add


def clean(_logger: WrappedLogger | None, _method: str, line: EventDict) -> EventDict:
    """A step that removes secrets, escapes control characters and cuts long values, at any depth."""
    for name in [name for name in line if not name.startswith("_")]:
        line[name] = HIDDEN if _SECRET_KEYS.search(name) else _cleaned(line[name], _DEPTH)
    return line


def _cleaned(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return "..."
    if isinstance(value, MutableMapping | dict):
        return {
            _safe(str(name)): HIDDEN if _SECRET_KEYS.search(str(name)) else _cleaned(each, depth - 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(each, depth - 1) for each in value]
    if isinstance(value, bytes | bytearray | memoryview):
        # Bytes are payloads, keys or digests: only the last are ours to show, and they come as hex text.
        return f"{len(value)} bytes"
    return _safe(str(value))


def _safe(text: str) -> str:
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", _SECRET_VALUES.sub(HIDDEN, cut))


def _text(_logger: WrappedLogger, _method: str, line: MutableMapping[str, Any]) -> str:
    """One line for people: time, level, message, then the fields."""
    at, level, message = (str(line.pop(name, "")) for name in ("at", "level", "event"))
    name, trace = line.pop("logger", ""), line.pop("exception", "")
    fields = " ".join(f"{key}={_quoted(value)}" for key, value in sorted(line.items()))
    tail = "\n" + str(trace).replace("\\u000a", "\n") if trace else ""
    return f"{at[11:23]} {level:<7} {message:<40} {fields} [{name}]".rstrip() + tail


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text
