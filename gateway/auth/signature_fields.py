"""The header fields of message signatures, read: dictionaries of inner lists and of byte sequences.

Reads the part of RFC 8941 that these fields use, strictly: a text that two readers could take for two things
is refused. Never repeats a value of a field, and raises nothing but `CallerError`.

Source: RFC 9421, sections 4.1 and 4.2; RFC 9530, section 2; RFC 8941, section 4.2.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.errors import CallerError

T = TypeVar("T")

MAX_FIELD_CHARACTERS: Final = 8_192
MAX_MEMBERS: Final = 8
MAX_COMPONENTS: Final = 64
MAX_PARAMETERS: Final = 16

_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_BARE: Final = (
    rf"(?:{_STRING}|-?[0-9]{{1,12}}\.[0-9]{{1,3}}|-?[0-9]{{1,15}}|:[A-Za-z0-9+/=]*:|\?[01]"
    r"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*)"
)
_KEY: Final = r"[a-z*][a-z0-9_\-.*]*"
_LABEL: Final = re.compile(rf"({_KEY})=")
_ITEM: Final = re.compile(_BARE)
_PARAMETER: Final = re.compile(rf"; *({_KEY})(?:=({_BARE}))?")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/=]*):")
_ESCAPE: Final = re.compile(r"\\(.)")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Component:
    """One covered component. `item`: its name as it stands in the field, quotes included."""

    item: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name; empty where it is no string."""
        return self.item[1:-1] if self.item.startswith('"') else ""


@dataclass(frozen=True, slots=True)
class Described:
    """What one signature says of itself. `parameters`: each as it stands in the field, in order."""

    components: tuple[Component, ...]
    parameters: Mapping[str, str]

    def text(self) -> str:
        """The value of `@signature-params`, in the one form that it has."""
        listed = " ".join(one.item + _written(one.parameters) for one in self.components)
        return f"({listed}){_written(self.parameters)}"

    def string(self, name: str) -> str | None:
        """A parameter that is a string; None where it is not there.

        Raises:
            CallerError: it is something else.
        """
        raw = self.parameters.get(name)
        if raw is None:
            return None
        if not raw.startswith('"'):
            raise refused(name, f"the parameter {name} must be a string in double quotes")
        text = raw[1:-1]
        return _ESCAPE.sub(r"\1", text) if "\\" in text else text

    def integer(self, name: str) -> int | None:
        """A parameter that is a whole number of seconds; None where it is not there.

        Raises:
            CallerError: it is something else.
        """
        raw = self.parameters.get(name)
        if raw is None:
            return None
        if not re.fullmatch(r"0|[1-9][0-9]{0,11}", raw):
            raise refused(name, f"the parameter {name} must be Unix seconds, without quotes")
        return int(raw)


def refused(component: str, text: str, **members: object) -> CallerError:
    """The refusal that names the component which failed."""
    return CallerError(
        "signature_invalid", f'"{component}": {text}.', members={"component": component, **members}
    )


def read_descriptions(text: str) -> dict[str, Described]:
    """Read `Signature-Input`: each signature by its label.

    Raises:
        CallerError: `signature_invalid`; it is no dictionary of inner lists, or has a name twice.
    """
    return _members("signature-input", text, _description)


def read_bytes(name: str, text: str) -> dict[str, bytes]:
    """Read a dictionary of byte sequences: `signature`, or `content-digest`.

    Raises:
        CallerError: `signature_invalid`; it is something else, or has a name twice.
    """

    def read(text: str, position: int) -> tuple[bytes, int]:
        value = _BYTES.match(text, position)
        if value is None:
            raise refused(name, "each member must be base64 between colons")
        try:
            return base64.b64decode(value[1], validate=True), value.end()
        except binascii.Error as error:
            raise refused(name, "each member must be base64 between colons") from error

    return _members(name, text, read)


def _members(name: str, text: str, read: Callable[[str, int], tuple[T, int]]) -> dict[str, T]:
    if len(text) > MAX_FIELD_CHARACTERS:
        raise refused(name, f"the field may have {MAX_FIELD_CHARACTERS} characters")
    found: dict[str, T] = {}
    position = 0
    while True:
        label = _LABEL.match(text, position)
        if label is None:
            raise refused(name, "the field is not a list of members, each with a label and a value")
        if label[1] in found or len(found) == MAX_MEMBERS:
            raise refused(name, f"each label stands once, and there are at most {MAX_MEMBERS}")
        found[label[1]], position = read(text, label.end())
        if position == len(text):
            return found
        comma = _COMMA.match(text, position)
        if comma is None:
            raise refused(name, "members are parted by commas, and nothing else follows them")
        position = comma.end()


def _description(text: str, position: int) -> tuple[Described, int]:
    if not text.startswith("(", position):
        raise refused("signature-input", "each member lists what it covers, in parentheses")
    components: list[Component] = []
    position = _blanks(text, position + 1)
    while not text.startswith(")", position):
        item = _ITEM.match(text, position)
        if item is None or len(components) == MAX_COMPONENTS:
            raise refused("signature-input", f"a list holds at most {MAX_COMPONENTS} names in double quotes")
        parameters, after = _parameters(text, item.end())
        components.append(Component(item[0], parameters))
        position = _blanks(text, after)
        if position == after and not text.startswith(")", position):
            raise refused("signature-input", "names in a list are parted by blanks")
    parameters, position = _parameters(text, position + 1)
    return Described(tuple(components), parameters), position


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while one := _PARAMETER.match(text, position):
        if one[1] in found or len(found) == MAX_PARAMETERS:
            # The last of two would count: a reader that takes the first would see another signature.
            raise refused(
                "signature-input", f"a parameter stands once, and there are at most {MAX_PARAMETERS}"
            )
        found[one[1]] = "?1" if one[2] is None else one[2]
        position = one.end()
    return found, position


def _blanks(text: str, position: int) -> int:
    while text.startswith(" ", position):
        position += 1
    return position


def _written(parameters: Mapping[str, str]) -> str:
    return "".join(f";{name}" if raw == "?1" else f";{name}={raw}" for name, raw in parameters.items())
