"""The reference validator: a JSON value against a type, every fault, and the datum in plain form.

Compiled once into closures; nested no deeper than the schema, which admission bounds. A datum with faults is
never used.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Scalar,
    Union,
    branch_name,
    describe,
    describe_choice,
)
from schemas.branches import is_ambiguous, json_kinds
from schemas.encoder import compile_encoder
from schemas.errors import MisfitError
from schemas.fault import FaultCode, Path
from schemas.findings import Findings, Trial
from schemas.json_builder import Broken
from schemas.leaf import LONGEST_TEXT, JsonFlavour, leaf_of

Check: TypeAlias = Callable[[Any, Path, Findings], Any]
"""JSON value, where it stands, where faults go; gives the datum in plain form, or None after a fault."""

_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    type(None): "null",
}
_MISSING: Any = object()


def compile_check(kind: AvroType, flavour: JsonFlavour) -> Check:
    """The validator of a type for one JSON flavour."""
    return _Compiler(flavour).compile(kind)


class _Branch(NamedTuple):
    """A branch of a union. `needed`, `known`: see `_names_of`."""

    number: int
    check: Check
    needed: frozenset[str]
    known: frozenset[str] | None


class _Compiler:
    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.named: dict[str, Check] = {}

    def compile(self, kind: AvroType) -> Check:
        match kind:
            case Record() | Fixed() | Enumeration():
                if kind.name not in self.named:
                    self.named[kind.name] = (
                        self._record(kind) if isinstance(kind, Record) else _scalar(kind, self.flavour)
                    )
                return self.named[kind.name]
            case Array():
                return _array(self.compile(kind.items), describe(kind))
            case Map():
                return _map(self.compile(kind.values), describe(kind))
            case Union():
                return self._union(kind) if self.flavour == "plain" else self._wrapped_union(kind)
            case Primitive():
                return _scalar(kind, self.flavour)

    def _record(self, kind: Record) -> Check:
        fields = tuple(
            (one.name, self.compile(one.type), when_absent(one), _absent_size(one), describe(one.type))
            for one in kind.fields
        )
        names = dict.fromkeys(field.name for field in kind.fields)
        expected = describe(kind)

        def check(value: Any, path: Path, findings: Findings) -> list[Any] | None:
            if type(value) is not dict:
                _mismatch(value, path, findings, expected)
                return None
            datum: list[Any] = []
            known = filled = 0
            for name, check_field, absent, size, wanted in fields:
                item = value.get(name, _MISSING)
                if item is not _MISSING:
                    known += 1
                    datum.append(check_field(item, (path, name), findings))
                elif absent is not ABSENT:
                    filled += size
                    datum.append(absent)
                else:
                    findings.add((path, name), "missing", "is missing", wanted)
            if filled:
                findings.fill(path, filled)
            if known != len(value):
                _report_unknown(value, names, path, findings)
            return datum

        return check

    def _union(self, kind: Union) -> Check:
        checks = [self.compile(branch) for branch in kind.branches]
        branches = [_Branch(index, checks[index], *_names_of(one)) for index, one in enumerate(kind.branches)]
        by_type: dict[type, list[_Branch]] = {}
        for branch in branches:
            for python_type in json_kinds(kind.branches[branch.number], self.flavour):
                by_type.setdefault(python_type, []).append(branch)
        expected = describe(kind)
        is_nullable_one = len(checks) <= 2 and kind.null_branch() is not None  # noqa: PLR2004 - null and one type
        code: FaultCode = "type" if is_nullable_one else "union"

        def check(value: Any, path: Path, findings: Findings) -> tuple[int, Any] | None:
            candidates = by_type.get(type(value))
            if candidates is None:
                _mismatch(value, path, findings, expected, code)
                return None
            if len(candidates) == 1:
                only = candidates[0]
                return (only.number, only.check(value, path, findings))
            found = _first_fit(value, candidates, path, findings)
            if found is None:
                text = f"fits none of the {len(candidates)} branches that take {_name(value)}"
                findings.add(path, "union", text, expected)
            return found

        return _nameable(check, kind, branches, by_type.get(dict, [])) if is_ambiguous(kind) else check

    def _wrapped_union(self, kind: Union) -> Check:
        """Null, or an object with one member named after its branch."""
        branches = {
            branch_name(branch): (index, self.compile(branch)) for index, branch in enumerate(kind.branches)
        }
        null = kind.null_branch()
        expected = describe(kind)

        def check(value: Any, path: Path, findings: Findings) -> tuple[int, Any] | None:
            if value is None and null is not None:
                return (null, None)
            if type(value) is not dict:
                _mismatch(value, path, findings, expected)
                return None
            name = next(iter(value), "")
            if len(value) != 1 or name not in branches or name == "null":
                findings.add(
                    path,
                    "union",
                    f"must be an object with one member, named as one of {describe_choice(tuple(branches))}",
                    expected,
                )
                return None
            index, check_branch = branches[name]
            return (index, check_branch(value[name], (path, name), findings))

        return check


def _scalar(kind: Scalar, flavour: JsonFlavour) -> Check:
    leaf = leaf_of(kind, flavour)
    expected = describe(kind)
    kinds, parse = leaf.kinds, leaf.parse

    def check(value: Any, path: Path, findings: Findings) -> Any:
        if type(value) not in kinds:
            _mismatch(value, path, findings, expected)
            return None
        try:
            return parse(value)
        except MisfitError as misfit:
            findings.add(path, misfit.fault_code, misfit.text, expected)
            return None

    return check


def _array(check_item: Check, expected: str) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> list[Any] | None:
        if type(value) is not list:
            _mismatch(value, path, findings, expected)
            return None
        if not findings.count(path, len(value)):
            return None
        return [check_item(item, (path, index), findings) for index, item in enumerate(value)]

    return check


def _map(check_value: Check, expected: str) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> dict[str, Any] | None:
        if type(value) is not dict:
            _mismatch(value, path, findings, expected)
            return None
        if not findings.count(path, len(value)):
            return None
        for name in value:
            if len(name) > LONGEST_TEXT // 4 and len(name.encode()) > LONGEST_TEXT:
                findings.add((path, name), "length", f"the name is longer than {LONGEST_TEXT} bytes")
        return {name: check_value(item, (path, name), findings) for name, item in value.items()}

    return check


def _nameable(bare: Check, kind: Union, branches: list[_Branch], objects: list[_Branch]) -> Check:
    """The check of a union whose values may name their branch, before it is asked what they look like."""
    named = {branch_name(one): branch for one, branch in zip(kind.branches, branches, strict=True)}
    named.pop("null", None)

    def check(value: Any, path: Path, findings: Findings) -> Any:
        if type(value) is not dict or len(value) != 1 or next(iter(value)) not in named:
            return bare(value, path, findings)
        ((name, item),) = value.items()
        at: Path = (path, name)
        found = _first_fit(item, [named[name]], at, findings) or _first_fit(value, objects, path, findings)
        if found is None:
            named[name].check(item, at, findings)
        return found

    return check


def _first_fit(
    value: Any, candidates: Sequence[_Branch], path: Path, findings: Findings
) -> tuple[int, Any] | None:
    """The first branch, in the schema's order, that takes the value without a fault."""
    # A trial costs twenty times as much as a look at the names; but the name of a broken item says nothing.
    if type(value) is dict and not any(map(_is_broken, value.values())):
        names, one = value.keys(), next(iter(value), "")
        candidates = [
            branch
            for branch in candidates
            if branch.known is None
            or ((one in branch.known or not value) and branch.needed <= names <= branch.known)
        ]
    for branch in candidates:
        findings.count_try(path)
        trial = Trial()
        trial.items, trial.filled, trial.tries = findings.items, findings.filled, findings.tries
        try:
            datum = branch.check(value, path, trial)
        except MisfitError:
            continue
        finally:
            findings.tries = trial.tries
        findings.items, findings.filled = trial.items, trial.filled
        return (branch.number, datum)
    return None


def _names_of(kind: AvroType) -> tuple[frozenset[str], frozenset[str] | None]:
    """The names that every object of a record has, and all that it may have; None where any will do."""
    if not isinstance(kind, Record):
        return frozenset(), None
    needed = frozenset(field.name for field in kind.fields if when_absent(field) is ABSENT)
    return needed, frozenset(field.name for field in kind.fields)


def _is_broken(value: Any) -> bool:
    return type(value) is Broken


def when_absent(field: Field) -> Any:
    """The datum of a field that was not sent: its default, else null where it may be null, else ABSENT."""
    if field.default is not ABSENT:
        return field.default
    if isinstance(field.type, Union):
        index = field.type.null_branch()
        return ABSENT if index is None else (index, None)
    return None if field.type == Primitive("null") else ABSENT


def _absent_size(field: Field) -> int:
    """The bytes of Avro that stand for a field that was not sent. Exact: an event's Avro is never less."""
    datum = when_absent(field)
    if datum is ABSENT:
        return 0
    if isinstance(datum, tuple) and datum[1] is None:
        return 1  # null in a union, as most often: no encoder need be made for that
    out = bytearray()
    compile_encoder(field.type)(datum, out)
    return len(out)


def _report_unknown(value: dict[str, Any], names: dict[str, None], path: Path, findings: Findings) -> None:
    for name, item in value.items():
        if name not in names and not isinstance(item, Broken):
            findings.unknown(path, name, (one for one in names if one not in value))


def _mismatch(value: Any, path: Path, findings: Findings, expected: str, code: FaultCode = "type") -> None:
    """Note a wrong JSON type, unless the value has its fault already."""
    if not isinstance(value, Broken):
        findings.add(path, code, f"is {_name(value)}", expected)


def _name(value: Any) -> str:
    return _NAMES.get(type(value), "a number")
