"""One reason why a reader cannot read a writer: for a plan, and as clients of a registry show it."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

DifferenceKind: TypeAlias = Literal[
    "NAME_MISMATCH",
    "FIXED_SIZE_MISMATCH",
    "MISSING_ENUM_SYMBOLS",
    "READER_FIELD_MISSING_DEFAULT_VALUE",
    "TYPE_MISMATCH",
    "MISSING_UNION_BRANCH",
    "LOGICAL_TYPE_MISMATCH",
]
"""Those of Apache Avro, and the last one, which is ours."""

MEND: Final[dict[DifferenceKind, str]] = {
    "NAME_MISMATCH": "keep the name, or give the reader an alias",
    "FIXED_SIZE_MISMATCH": "keep the size, or add a field of another type",
    "MISSING_ENUM_SYMBOLS": "keep the symbols, or give the enum a default",
    "READER_FIELD_MISSING_DEFAULT_VALUE": "give the field a default",
    "TYPE_MISMATCH": "keep the type, or add a field of the new type",
    "MISSING_UNION_BRANCH": "keep the branch in the union",
    "LOGICAL_TYPE_MISMATCH": "keep scale and unit, or add a field of the new type",
}
"""How each is mended, in words for the author of the new schema."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One reason why a reader cannot read a writer.

    `pointer`: into the reader's schema (`/fields/2/type`, what a name stands for is written out).
    `direction`: `backward` where the new schema fails to read old data, `forward` where the old one fails to
    read new data. `subject`: what it is about: a field's name, symbols, a type.
    """

    pointer: str
    text: str
    direction: Literal["backward", "forward"] = "backward"
    kind: DifferenceKind = "TYPE_MISMATCH"
    subject: str = ""

    def __str__(self) -> str:
        """One line for a plan."""
        return f"{self.direction} {self.pointer or '/'}: {self.text}"

    @property
    def mend(self) -> str:
        """How to mend it."""
        return MEND[self.kind]

    def message(self) -> str:
        """As clients of a registry show it: kind, what is wrong in which schema, what it is about.

        Source: Confluent Schema Registry API, `messages` of a verbose compatibility check.
        """
        reader, writer = ("new", "old") if self.direction == "backward" else ("old", "new")
        told = _describe(self, reader, writer)
        about = self.subject or self.text
        return f"{{errorType:'{self.kind}', description:'{told}', additionalInfo:'{about}'}}"


def _describe(one: Difference, reader: str, writer: str) -> str:
    at = f"at path '{one.pointer or '/'}'"
    match one.kind:
        case "NAME_MISMATCH":
            return f"The name {at} in the {reader} schema is not that of the {writer} schema"
        case "FIXED_SIZE_MISMATCH":
            return (
                f"The size of the FIXED type {at} in the {reader} schema is not that of the {writer} schema"
            )
        case "MISSING_ENUM_SYMBOLS":
            return f"The {reader} schema is missing enum symbols '{one.subject}' {at} of the {writer} schema"
        case "READER_FIELD_MISSING_DEFAULT_VALUE":
            return (
                f"The field '{one.subject}' {at} in the {reader} schema has no default value and is missing "
                f"in the {writer} schema"
            )
        case "MISSING_UNION_BRANCH":
            return f"The {reader} schema is missing a type inside the union {at} that the {writer} schema has"
        case "LOGICAL_TYPE_MISMATCH":
            return f"The logical type {at} in the {reader} schema is not that of the {writer} schema"
        case _:
            return f"The type {at} in the {reader} schema does not match with the {writer} schema"
