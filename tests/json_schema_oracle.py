"""The verdict of a JSON Schema implementation that is not ours, beside the verdict of our validator."""

import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from schemas.avro_type import AvroType
from schemas.check import compile_check
from schemas.errors import DatumError
from schemas.fault import Fault
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.json_schema import json_schema
from schemas.leaf import JsonFlavour


def _pattern(
    _validator: object, pattern: str, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """By ECMA-262, as JSON Schema has it: `$` is the end, where Python lets a line end follow it."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"does not match {pattern}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern})


def accepts(schema: Any, raw: bytes) -> bool:
    """Whether a JSON Schema, itself sound, lets a JSON text pass."""
    Draft202012Validator.check_schema(schema)
    return bool(_Validator(schema).is_valid(json.loads(raw)))


class Verdicts:
    """Ours and theirs on the JSON text of one type."""

    def __init__(self, root: AvroType, flavour: JsonFlavour) -> None:
        self._check = compile_check(root, flavour)
        self.document = json.loads(json_schema(root, flavour=flavour))
        Draft202012Validator.check_schema(self.document)
        self._validator = _Validator(self.document)

    def faults(self, raw: bytes) -> tuple[Fault, ...]:
        """What our validator finds."""
        findings = Findings()
        self._check(read_with_findings(raw, findings), None, findings)
        try:
            findings.verify()
        except DatumError as error:
            return error.faults
        return ()

    def accepts(self, raw: bytes) -> bool:
        """Whether the JSON Schema lets a text pass."""
        return bool(self._validator.is_valid(json.loads(raw)))

    def both(self, value: Any) -> tuple[bool, bool]:
        """Ours, then theirs."""
        raw = json.dumps(value).encode()
        return not self.faults(raw), self.accepts(raw)
