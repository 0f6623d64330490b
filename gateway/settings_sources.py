"""Read the settings: merge the sources, name every fault with its place, show what holds and why.

Sources, strongest first: flags, environment, gateway.toml, defaults. Never shows a password.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway.errors import SettingsError
from gateway.settings import Settings

PREFIX: Final = "GATEWAY_"
FILE: Final = "gateway.toml"
CLIENT_VARIABLES: Final = frozenset(
    {"GATEWAY_CONFIG", "GATEWAY_URL", "GATEWAY_KEY", "GATEWAY_KEY_FILE", "GATEWAY_CACERT"}
)
"""Variables that are no settings: where gateway.toml is, and what the CLI as a client goes by."""

_FILE_SUFFIX: Final = "_file"
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)([^@/\s]+)(@)")
_HIDDEN: Final = "***"
_SERVICE: Final = re.compile(
    r"GATEWAY(?:_[A-Z0-9]+)*?_(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_URL: Final = re.compile(r"GATEWAY(?:_[A-Z0-9]+)*_PORT=(?:tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True)
class Key:
    """One setting that exists: its key, what it is by default (as text), and what it is for."""

    name: str
    default: str
    note: str
    is_hidden: bool

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.replace(".", "__").upper()


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it holds: its value as text, passwords hidden, and where it comes from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each key where its value comes from."""

    settings: Settings
    origins: Mapping[str, str]

    def show(self) -> tuple[Shown, ...]:
        """Every key in the order of the catalogue."""
        values = _flatten(self.settings.model_dump(mode="json"))
        return tuple(
            Shown(key.name, hide_password(_words(values[key.name])), self.origins[key.name])
            for key in catalogue()
        )


@dataclass(frozen=True, slots=True)
class _Given:
    value: object
    origin: str


def load(
    flags: Mapping[str, str | int | bool] | None = None,
    *,
    environ: Mapping[str, str],
    file: Path | None = None,
) -> Loaded:
    """Merge and check the settings. `flags` by key (`listen.public`); `file` None: gateway.toml, if there.

    Raises:
        SettingsError: with every fault found, each naming its source and how to mend it.
    """
    faults: list[str] = []
    given: dict[str, _Given] = {}
    for source in (
        _from_file(file, environ, faults),
        _from_environment(environ, faults),
        _from_flags(flags or {}, faults),
    ):
        given |= source
    if faults:
        raise SettingsError(tuple(faults))
    merged = {key.name: _Given(key.default, "default") for key in catalogue()} | given
    _fill_in(merged)
    try:
        settings = Settings.model_validate(_nest({name: each.value for name, each in merged.items()}))
    except ValidationError as error:
        raise SettingsError(tuple(_explain(error, merged))) from None
    return Loaded(settings, {name: each.origin for name, each in merged.items()})


def catalogue() -> tuple[Key, ...]:
    """Every setting that exists."""
    return tuple(_keys(Settings, ""))


def format_markdown() -> str:
    """The table of docs/settings.md."""
    lines = ["| key | default | variable | what for |", "|---|---|---|---|"]
    for key in catalogue():
        note = key.note + (f"; a secret: or `{key.name}{_FILE_SUFFIX}`" if key.is_hidden else "")
        lines.append(
            f"| `{key.name}` | {f'`{key.default}`' if key.default else ''} | `{key.variable}` | {note} |"
        )
    return "\n".join(lines) + "\n"


def format_json() -> str:
    """The catalogue for programs: a list of objects."""
    rows = [
        {"key": k.name, "default": k.default, "variable": k.variable, "note": k.note, "secret": k.is_hidden}
        for k in catalogue()
    ]
    return json.dumps(rows, indent=2) + "\n"


def hide_password(text: str) -> str:
    """The text with the password of every URL in it replaced."""
    return _PASSWORD.sub(rf"\1{_HIDDEN}\3", text)


def _is_of_kubernetes(variable: str, value: str) -> bool:
    """Whether a cluster set it for a service called `gateway`, or `gateway-...`, as it does in every pod."""
    is_url = _SERVICE_URL.fullmatch(f"{variable}={value}") is not None
    return is_url or _SERVICE.fullmatch(variable) is not None


def _from_flags(flags: Mapping[str, str | int | bool], faults: list[str]) -> dict[str, _Given]:
    given = {name: _Given(value, "flag") for name, value in flags.items()}
    _refuse_passwords(given, faults)
    return _known(given, faults, lambda name: f"flag {name}")


def _from_environment(environ: Mapping[str, str], faults: list[str]) -> dict[str, _Given]:
    names = {
        variable[len(PREFIX) :].lower().replace("__", "."): variable
        for variable in sorted(environ)
        if variable.startswith(PREFIX)
        and variable not in CLIENT_VARIABLES
        and not _is_of_kubernetes(variable, environ[variable])
    }
    given = {name: _Given(environ[names[name]], f"environment {names[name]}") for name in names}
    return _known(given, faults, lambda name: f"environment {names.get(name, _variable(name))}")


def _from_file(file: Path | None, environ: Mapping[str, str], faults: list[str]) -> dict[str, _Given]:
    named = file or (Path(environ["GATEWAY_CONFIG"]) if environ.get("GATEWAY_CONFIG") else None)
    path = named or Path(FILE)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            faults.append(f"{path}: there is no such file")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{path}: is not TOML: {error}")
        return {}
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror}")
        return {}
    given = {name: _Given(_text(value), str(path)) for name, value in _flatten(tables).items()}
    _refuse_passwords(given, faults)
    return _known(given, faults, lambda name: f"{path}: {name}")


def _known(given: dict[str, _Given], faults: list[str], place: Any) -> dict[str, _Given]:
    """Only known keys, secrets read from their files; a fault for each other one."""
    keys = {key.name: key for key in catalogue()}
    secret_files = {name + _FILE_SUFFIX: name for name, key in keys.items() if key.is_hidden}
    known: dict[str, _Given] = {}
    for name, each in given.items():
        if name in keys:
            known[name] = each
        elif name in secret_files:
            try:
                secret = Path(str(each.value)).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                faults.append(f"{place(name)}: the file {each.value} cannot be read")
            else:
                known[secret_files[name]] = _Given(secret, f"file {each.value}, named by {each.origin}")
        else:
            near = difflib.get_close_matches(name, [*keys, *secret_files], 1)
            meant = f"; did you mean {place(near[0]).rpartition(' ')[2]}?" if near else ""
            faults.append(f"{place(name)}: there is no such setting{meant}")
    return known


def _refuse_passwords(given: Mapping[str, _Given], faults: list[str]) -> None:
    for name, each in given.items():
        if isinstance(each.value, str) and _PASSWORD.search(each.value):
            faults.append(
                f"{each.origin}: {name} holds a password: set {_variable(name)}, or name a file by "
                f"{name}{_FILE_SUFFIX}"
            )


def _fill_in(merged: dict[str, _Given]) -> None:
    """Replace what a default takes from another setting."""
    public, data = str(merged["listen.public"].value), str(merged["data"].value)
    scheme = "https" if merged["tls.cert"].value else "http"
    for name, each in merged.items():
        if isinstance(each.value, str):
            text = each.value.replace("{data}", data).replace("{listen.public}", public)
            merged[name] = _Given(text.replace("{listen}", f"{scheme}://{public}"), each.origin)


def _explain(error: ValidationError, merged: Mapping[str, _Given]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function"))
        key = next((known for known in sorted(merged, reverse=True) if name.startswith(known)), "")
        text = fault["msg"].removeprefix("Value error, ")
        if key:
            yield f"{merged[key].origin}: {key} {hide_password(repr(merged[key].value))}: {text}"
        else:
            yield text


def _keys(model: type[BaseModel], start: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{start}{name}.")
        else:
            yield Key(start + name, str(field.default), field.description or "", _is_hidden(field))


def _is_hidden(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


def _flatten(tables: Mapping[str, Any], start: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tables.items():
        flat |= _flatten(value, f"{start}{name}.") if isinstance(value, dict) else {start + name: value}
    return flat


def _nest(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *tables, key = name.split(".")
        place = nested
        for table in tables:
            place = place.setdefault(table, {})
        place[key] = value
    return nested


def _text(value: object) -> object:
    """A TOML list is another way to write what a comma-separated text says."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _words(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
