"""What an endpoint is to be, as options of the command line say it."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from gateway.cli.errors import UsageError

_NONE: Final = "none"
_WAIT: Final = re.compile(r"[0-9]+[a-z]+")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of an endpoint; only what was said."""

    name: Annotated[str | None, typer.Option("--name", help="What it is called.", show_default=False)] = None
    events: Annotated[
        str | None,
        typer.Option("--events", help="Event types with commas between; none: all.", show_default=False),
    ] = None
    filter: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="FILE",
            help="File with the filter, JSON; 'none' takes it away.",
            show_default=False,
        ),
    ] = None
    form: Annotated[
        str | None,
        typer.Option("--format", help="cloudevents, data or binary.", show_default=False),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            help="Sent with each POST: 'X-Team: orders'. Again for more; 'none' takes all away.",
            show_default=False,
        ),
    ] = None
    order: Annotated[
        str | None, typer.Option("--order", help="none, key or endpoint.", show_default=False)
    ] = None
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Attempts at a time.", show_default=False)
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            help="Events a second, such as 50/s; 'none' takes it away.",
            show_default=False,
        ),
    ] = None
    retry: Annotated[
        str | None,
        typer.Option("--retry", help="standard-75h, or waits with commas: 0s,5s,5m,1h.", show_default=False),
    ] = None

    auth: Annotated[
        str | None,
        typer.Option(
            "--auth",
            metavar="FILE",
            help="File with what it demands, JSON; 'none' takes it away.",
            show_default=False,
        ),
    ] = None

    def members(self) -> dict[str, Any]:
        """Members of the request's body.

        Raises:
            UsageError: a file cannot be read, or a header is none.
        """
        plain = {
            "name": self.name,
            "format": self.form,
            "order": self.order,
            "concurrency": self.concurrency,
        }
        said: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
        if self.events is not None:
            said["events"] = _listed(self.events)
        if self.rate is not None:
            said["rate"] = None if self.rate == _NONE else self.rate
        if self.retry is not None:
            is_list = "," in self.retry or _WAIT.fullmatch(self.retry)
            said["retry"] = _listed(self.retry) if is_list else self.retry
        if self.filter is not None:
            said["filter"] = None if self.filter == _NONE else _read(self.filter)
        if self.auth is not None:
            said["auth"] = None if self.auth == _NONE else _read(self.auth)
        if self.header:
            said["headers"] = None if self.header == [_NONE] else dict(map(_header, self.header))
        return said


def _listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError("a header reads 'X-Team: orders'")
    return name.strip(), value.strip()


def _read(path: str) -> Any:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as it was written on the command line
            return json.loads(file.read(1_000_000))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} holds no JSON") from error
