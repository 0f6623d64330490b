"""From another registry into ours: what there is to write, what stands in its way, and the writing.

Ids, version numbers and texts stay, and with the text its GUID: records of there are read here.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from gateway.cli.client import Client, path_of
from gateway.cli.errors import ProblemError, UsageError
from gateway.cli.registry_answers import registry_number
from gateway.cli.registry_source import Found
from schemas.errors import SchemaError
from schemas.schema import Reference, Schema, parse_schema

_UNKNOWN: Final = {40401, 40402, 40403}
_NO_MODE: Final = 40409


@dataclass(slots=True)
class Plan:
    """What an import would do: versions to write, references before what refers to them; clashes by name."""

    wanted: list[Found] = field(default_factory=list)
    there: list[Found] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects that are written to, in order."""
        return tuple(dict.fromkeys(one.subject for one in self.wanted))


def plan_import(client: Client, found: Sequence[Found]) -> Plan:
    """Compare another registry's versions with ours.

    Raises:
        CommandError: as the client.
    """
    plan, parsed = Plan(), dict[tuple[str, int], Schema]()
    for one in _in_order(found):
        trouble = _trouble(one, parsed)
        if trouble:
            plan.clashes.append(f"{one} {trouble}")
            continue
        ours = _ask(client, "subjects", one.subject, "versions", str(one.number), deleted=True)
        clash = "" if ours is not None and _is_same(ours, one) else _clash(client, one, ours)
        if clash:
            plan.clashes.append(clash)
        elif ours is not None:
            plan.there.append(one)
        else:
            plan.wanted.append(one)
    return plan


def write_import(client: Client, plan: Plan, told: Callable[[Found], None]) -> None:
    """Write what a plan says, in import mode; each subject has its own mode again afterwards.

    Stopped midway, it is repeated: what is there already is passed over. `told`: of each that was written.

    Raises:
        CommandError: as the client; ProblemError where the registry refuses.
    """
    modes: dict[str, str | None] = {}
    try:
        for subject in plan.subjects:
            modes[subject] = _mode(client, subject)
            _set_mode(client, subject, "IMPORT")
        for one in plan.wanted:
            body = {
                "schema": one.text,
                "references": [
                    {"name": name, "subject": subject, "version": number}
                    for name, subject, number in one.references
                ],
                "id": one.id,
                "version": one.number,
            }
            path = path_of("registry", "subjects", one.subject, "versions")
            client.post(path, json.dumps(body).encode())
            if one.is_deleted:
                client.delete(f"{path}/{one.number}")
            told(one)
    finally:
        for subject, mode in modes.items():
            _set_mode(client, subject, mode)


def guid_of(one: Found) -> str:
    """The GUID of a schema. Source: Confluent wire format: MD5 of the text and of each reference."""
    digest = hashlib.md5(one.text.encode(), usedforsecurity=False)
    for name, subject, number in one.references:
        digest.update(name.encode() + subject.encode() + number.to_bytes(4, "big"))
    return str(UUID(bytes=digest.digest()))


def _in_order(found: Sequence[Found]) -> Iterator[Found]:
    """Each version behind those that it refers to, else by subject and number, but the largest id first.

    The ids that the registry gives by itself then go on behind all of them, whoever registers meanwhile.
    """
    by_place = {(one.subject, one.number): one for one in found}
    done: set[tuple[str, int]] = set()
    uses = Counter((one.subject, one.id) for one in found)
    once = [place for place, one in by_place.items() if uses[one.subject, one.id] == 1]
    # A schema that was deleted and came back is two versions: the first goes before the second.
    largest = max(once, key=lambda place: by_place[place].id, default=None)
    for start in sorted(by_place, key=lambda place: (place != largest, place)):
        stack = [start]
        while stack:
            place = stack[-1]
            missing = [
                (subject, number)
                for _, subject, number in by_place[place].references
                if (subject, number) in by_place and (subject, number) not in done
            ]
            if missing and len(stack) <= len(by_place):
                stack += missing[:1]
                continue
            stack.pop()
            if place not in done:
                done.add(place)
                yield by_place[place]


def _trouble(one: Found, parsed: dict[tuple[str, int], Schema]) -> str:
    """Why a schema is not held here, in words; empty: it is. `parsed`: those before it, it is added."""
    if one.kind != "AVRO":
        return f"is {one.kind}: only AVRO is held here; --prefix chooses others"
    places = [(subject, number) for _, subject, number in one.references]
    if any(place not in parsed for place in places):
        return ""  # refers to what is here already, or not at all: for the registry to say
    try:
        references = [
            Reference(name, subject, number, parsed[subject, number])
            for name, subject, number in one.references
        ]
        parsed[one.subject, one.number] = parse_schema(one.text, references)
    except SchemaError as error:
        return f"is not admitted here: {error}"
    return ""


def _clash(client: Client, one: Found, ours: dict[str, Any] | None) -> str:
    """What stands in the way of a version, in words; empty: nothing."""
    if ours is not None:
        return f"{one}: here, version {one.number} is another schema (id {ours['id']})"
    held = _ask(client, "schemas", "ids", str(one.id))
    if held is not None and held.get("schema") != one.text:
        uses = _ask(client, "schemas", "ids", str(one.id), "versions", deleted=True) or [{}]
        return f"{one}: here, id {one.id} is {uses[0].get('subject', 'another schema')}"
    ids = _ask(client, "schemas", "guids", guid_of(one), "ids")
    if ids and ids != [one.id]:
        return f"{one}: here, the same schema has the id {ids[0]}"
    return ""


def _is_same(ours: dict[str, Any], one: Found) -> bool:
    return bool(ours["id"] == one.id and ours["schema"] == one.text)


def _ask(client: Client, *parts: str, deleted: bool = False) -> Any:
    """What our registry has there; None where it has nothing."""
    try:
        return json.loads(client.get(path_of("registry", *parts), {"deleted": deleted}).content)
    except ProblemError as error:
        if registry_number(error) in _UNKNOWN:
            return None
        raise


def _mode(client: Client, subject: str) -> str | None:
    """The mode that a subject has of its own.

    Raises:
        UsageError: it is being written to by another import.
    """
    try:
        mode = client.get(path_of("registry", "mode", subject)).document()["mode"]
    except ProblemError as error:
        if registry_number(error) == _NO_MODE:
            return None
        raise
    if mode == "IMPORT":
        raise UsageError(
            f"{subject} is in import mode already: another import writes to it, or was killed",
            hint=f"Take the mode away if that is so: DELETE /registry/mode/{subject}",
        )
    return str(mode)


def _set_mode(client: Client, subject: str, mode: str | None) -> None:
    path = path_of("registry", "mode", subject)
    if mode is None:
        client.delete(path)
    else:
        client.put(path, json.dumps({"mode": mode}).encode(), params={"force": True})
