"""How a function becomes a command: the options that every command has, and how every command ends.

    @command(app, "list")
    def list_partners(call: Invocation) -> Exit | None: ...

A parameter whose type is a dataclass stands for its fields: each is an option of its own.
"""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final, TextIO

import typer

from gateway.broker.port import BrokerError
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit, exit_of
from gateway.cli.faults import show_error
from gateway.cli.output import Output, outlet
from gateway.cli.place import Place, Wanted, find_place
from gateway.errors import GatewayError
from partners.errors import PartnersError

if TYPE_CHECKING:
    import httpx

    from gateway.cli.client import Client

GATEWAY: Final = "The gateway"

Cursor = Annotated[
    str | None,
    typer.Option("--cursor", help="Go on where the same list ended: its `next`.", show_default=False),
]
OfPartner = Annotated[
    str | None, typer.Option("--partner", "-p", help="Whose; for operators and teams.", show_default=False)
]
"""The option of commands that read what belongs to a partner."""

OfPartners = Annotated[
    str | None,
    typer.Option(
        "--partner",
        "-p",
        help="Whose; for operators and teams. Of lists also -: all partners'; for operators.",
        show_default=False,
    ),
]
"""The same, of commands that list."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the program finds around it: passed in, so that tests can give their own.

    `pause` waits so many seconds; `ticks` are seconds of a clock that never goes back; `transport` replaces
    the network.
    """

    environ: Mapping[str, str] = field(repr=False)
    source: BinaryIO
    out: TextIO
    err: TextIO
    pause: Callable[[float], None]
    ticks: Callable[[], float]
    transport: "httpx.BaseTransport | None" = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of one command. `dry_run` and `yes` are false where the command does not offer them."""

    around: Surroundings
    output: Output
    wanted: Wanted = field(default_factory=Wanted)
    dry_run: bool = False
    yes: bool = False

    def place(self) -> Place:
        """The gateway to speak to. Raises UsageError."""
        place = find_place(self.wanted, self.around.environ)
        for warning in place.warnings:
            self.output.warn(warning)
        return place

    def client(self) -> "Client":
        """A client of that gateway. Raises UsageError."""
        from gateway.cli.client import Client  # noqa: PLC0415 - a server is no client

        return Client(self.place(), pause=self.around.pause, transport=self.around.transport)

    def confirm(self, question: str) -> None:
        """Go on if the answer is yes, or was given before.

        Raises:
            UsageError: the answer is no, or nobody is there to ask.
        """
        if self.yes:
            return
        if not self.around.source.isatty():
            raise UsageError("this asks first, and nobody is there to answer: say --yes if that is meant")
        self.around.err.write(f"{question} [y/N] ")
        self.around.err.flush()
        if self.around.source.readline().strip().lower() not in {b"y", b"yes"}:
            raise UsageError("nothing was changed")


@dataclass(frozen=True, slots=True)
class _Look:
    json: Annotated[bool, typer.Option("--json", help="Print API documents, for scripts.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False


@dataclass(frozen=True, slots=True)
class _Where:
    url: Annotated[
        str, typer.Option("--url", help="The gateway's address.", rich_help_panel=GATEWAY, show_default=False)
    ] = ""
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="FILE",
            help="File that holds the API key.",
            rich_help_panel=GATEWAY,
            show_default=False,
        ),
    ] = ""
    cacert: Annotated[
        str,
        typer.Option(
            "--cacert",
            metavar="FILE",
            help="Certificate authority to trust.",
            rich_help_panel=GATEWAY,
            show_default=False,
        ),
    ] = ""
    folder: Annotated[
        str,
        typer.Option(
            "--data", metavar="DIR", help="Data folder of a gateway on this machine.",
            rich_help_panel=GATEWAY, show_default=False,
        ),
    ] = ""  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Write:
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False


@dataclass(frozen=True, slots=True)
class _Ask:
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False


def command(
    app: typer.Typer, name: str, *, is_local: bool = False, writes: bool = False, asks: bool = False
) -> Callable[[Callable[..., Exit | None]], Callable[..., Exit | None]]:
    """Make a function a command of `app`.

    `is_local`: it speaks to no gateway. `writes`: it has --dry-run. `asks`: it has --yes. What it returns is
    the exit code; None: done.
    """
    shared = [
        _Look,
        *([] if is_local else [_Where]),
        *([_Write] if writes else []),
        *([_Ask] if asks else []),
    ]

    def register(function: Callable[..., Exit | None]) -> Callable[..., Exit | None]:
        grouped = {"": shared} | _groups(function)

        def run(**given: Any) -> None:
            around: Surroundings = given.pop("ctx").obj
            made = {key: _take(kind, given) for key, kinds in grouped.items() if key for kind in kinds}
            call = _invocation(around, [_take(kind, given) for kind in shared])
            code = _ended(call.output, lambda: function(call, **given, **made))
            raise typer.Exit(code)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        parameters = [
            _context_parameter(),
            *_parameters(function),
            *(p for kind in shared for p in _options(kind)),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer asks inspect, which asks this
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name)(run)
        return function

    return register


def _ended(output: Output, work: Callable[[], Exit | None]) -> int:
    code = Exit.DONE
    try:
        code = work() or Exit.DONE
        output.out.flush()  # here, where a full disk can still be told
        return int(code)
    except BrokenPipeError:
        # Whoever read has read enough: no fault of ours, nor theirs.
        return int(code)
    except (GatewayError, PartnersError, BrokerError) as error:
        show_error(output, error)
        return int(exit_of(error))


def _invocation(around: Surroundings, shared: list[Any]) -> Invocation:
    words = {one.name: getattr(each, one.name) for each in shared for one in dataclasses.fields(each)}
    output = Output(outlet(around.out), around.err, words.pop("json"), words.pop("quiet"))
    more = {name: words.pop(name) for name in ("dry_run", "yes") if name in words}
    return Invocation(around, output, Wanted(**words), **more)


def _take(kind: type[Any], given: dict[str, Any]) -> Any:
    return kind(**{one.name: given.pop(one.name) for one in dataclasses.fields(kind)})


def _groups(function: Callable[..., Any]) -> dict[str, list[type[Any]]]:
    """Parameters that stand for the fields of a dataclass."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: [hint]
        for name, hint in hints.items()
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not Invocation
    }


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """A command's own parameters, groups taken apart."""
    hints = typing.get_type_hints(function, include_extras=True)
    groups = _groups(function)
    found: list[inspect.Parameter] = []
    for name, one in list(inspect.signature(function).parameters.items())[1:]:
        if name in groups:
            found += _options(groups[name][0])
        else:
            found.append(_keyword(name, hints[name], one.default))
    return found


def _options(kind: type[Any]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        _keyword(
            one.name,
            hints[one.name],
            inspect.Parameter.empty if one.default is dataclasses.MISSING else one.default,
        )
        for one in dataclasses.fields(kind)
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _context_parameter() -> inspect.Parameter:
    return _keyword("ctx", typer.Context, inspect.Parameter.empty)
