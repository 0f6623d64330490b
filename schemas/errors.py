"""What this package raises.

SchemasError
├── SchemaError         schema_invalid     the schema must not be used (its author's to mend)
├── PayloadError                           bytes from outside that were refused
│   ├── JsonTextError   body_malformed     no JSON text at all
│   ├── DatumError      event_invalid      JSON or Avro, but with faults
│   ├── ContainerError  container_invalid  no Avro object container file, or beyond a limit
│   └── FramingError    framing_invalid    no schema id where one must stand
├── SubjectError        subject_invalid    a text that can be no subject
├── RegistryError       registry_refused   the registry does not do it (`schemas.refusal`)
├── RemoteError         remote_registry    another registry did not (`schemas.remote_answers` has its tree)
├── MisfitError         misfit             one value does not fit one type; never leaves the package
└── NotMineError        not_mine           a compiled path leaves a datum to the reference; likewise
"""

from typing import ClassVar

from schemas.fault import Fault, FaultCode


class SchemasError(Exception):
    """Root of the package's errors."""

    code: ClassVar[str] = "schemas"


class SchemaError(SchemasError):
    """A schema that must not be used.

    `pointer` is a JSON Pointer into the schema text (empty: the whole), `rule` a stable word, `text` says
    how to mend it.
    """

    code = "schema_invalid"

    def __init__(self, rule: str, text: str, pointer: str = "") -> None:
        super().__init__(f"{pointer or 'the schema'}: {text} (rule: {rule})")
        self.rule = rule
        self.text = text
        self.pointer = pointer


class PayloadError(SchemasError):
    """Bytes from outside that were refused."""

    code = "payload_invalid"


class JsonTextError(PayloadError):
    """Bytes that are no JSON text; `offset` counts bytes from 0, `line` from 1."""

    code = "body_malformed"

    def __init__(self, text: str, *, offset: int, line: int) -> None:
        super().__init__(f"{text} (byte {offset}, line {line})")
        self.text = text
        self.offset = offset
        self.line = line


class DatumError(PayloadError):
    """A datum with faults: the first 100 of them, and how many there are."""

    code = "event_invalid"

    def __init__(self, faults: tuple[Fault, ...], total: int) -> None:
        first = faults[0]
        super().__init__(f"{total} faults, the first at {first.pointer or 'the top'}: {first.text}")
        self.faults = faults
        self.total = total


class ContainerError(PayloadError):
    """Bytes that are no Avro object container file, or one beyond a limit; `offset` counts bytes from 0."""

    code = "container_invalid"

    def __init__(self, text: str, *, offset: int) -> None:
        super().__init__(f"{text} (byte {offset})")
        self.text = text
        self.offset = offset


class FramingError(PayloadError):
    """A record value or header without the schema id that framing demands."""

    code = "framing_invalid"


class SubjectError(SchemasError):
    """A text that can be no subject."""

    code = "subject_invalid"


class MisfitError(SchemasError):
    """One value does not fit one type; becomes a `Fault`, never leaves the package."""

    code = "misfit"

    def __init__(self, fault_code: FaultCode, text: str) -> None:
        super().__init__(text)
        self.fault_code: FaultCode = fault_code
        self.text = text


class NotMineError(SchemasError):
    """A compiled path leaves a datum to the reference; never leaves the package."""

    code = "not_mine"
