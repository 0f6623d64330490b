"""What applying a contract would change, as values and as plain text."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from partners.contract import SECTIONS, Contract, ContractFile, Terms, pointer_to
from partners.endpoint import DeclaredEndpoint
from partners.filter import written

Sign = Literal["+", "~", "-"]
_BLOCKED: Final = "!"
_CHANGED: Final = "schema changed"
_MOST_FIELDS: Final = 40
"""Changed fields of one type that a plan shows."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a schema, at a pointer into the data. `was`, `now`: its type in words, with its default."""

    sign: Sign
    pointer: str
    was: str = ""
    now: str = ""

    def __str__(self) -> str:
        """As it stands in a plan."""
        words = " -> ".join(filter(None, (self.was, self.now)))
        return f"{self.sign} {self.pointer or '/'}  {words}"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Another version of the schema of a type. `level`: what is promised; `is_broken`: it is not kept.

    `has_more`: `fields` are the first that changed, not all.
    """

    was: int
    now: int
    level: str
    is_broken: bool
    fields: tuple[FieldChange, ...] = ()
    has_more: bool = False

    @property
    def words(self) -> str:
        """Versions and verdict, as they stand in a plan."""
        verdict = "NONE, nothing is promised" if self.level == "NONE" else f"{self.level} {self._verdict}"
        return f"v{self.was} -> v{self.now}  {verdict}"

    @property
    def _verdict(self) -> str:
        return "broken" if self.is_broken else "ok"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that an apply would add, change or remove.

    `section` is a word of the contract file (or `endpoint`), `name` the event type or endpoint in it, or
    empty. `words` say what changes or, of a removal, whom it hits. `is_destructive`: it takes away what the
    other side may be using. `schema`: what becomes of the type's schema, where that is known and another.
    """

    sign: Sign
    section: str
    name: str
    words: str
    is_destructive: bool = False
    schema: SchemaChange | None = None

    @property
    def path(self) -> str:
        """JSON Pointer into the contract; declared endpoints by name."""
        return pointer_to(self.section, self.name) if self.name else pointer_to(self.section)


def diff(old: ContractFile | None, new: ContractFile) -> tuple[Difference, ...]:
    """Compare two contracts of one partner; `old` None: there was none. Empty: nothing would change."""
    before = None if old is None else old.contract
    return (
        *_terms_differences(old, new),
        *_section_differences(before, new.contract),
        *_endpoint_differences(before, new.contract),
    )


def render_plan(
    partner: str, differences: tuple[Difference, ...], *, revision: int, notes: tuple[str, ...] = ()
) -> str:
    """Render a plan for a terminal; `revision` is the one in force, 0 where there is none.

    `notes` go below, one a line; what those that begin with `!` name is blocked, and not counted among what
    would be changed. Ends without a line break.
    """
    if not differences and revision:
        return "\n".join([f"{partner}   contract {revision}: no change", *(f"  {note}" for note in notes)])
    title = f"contract {revision} -> {revision + 1}" if revision else "contract 1 (new partner)"
    width = max((len(one.section) for one in differences), default=0)
    blocked = {tuple(note.split(maxsplit=3)[1:3]) for note in notes if note.startswith(_BLOCKED)}
    lines = [f"{partner}   {title}"]
    for one in differences:
        words = "  ".join(filter(None, (one.name, *_told(one))))
        sign = _BLOCKED if (one.section, one.name) in blocked and one.sign == "~" else one.sign
        lines.append(f"  {sign} {one.section:{width}} {words}")
        lines += _fields(one.schema)
    lines += [f"  {note}" for note in notes]
    counts = [
        f"{count} to {verb}"
        for sign, verb in (("+", "add"), ("~", "change"), ("-", "remove"))
        if (count := sum(one.sign == sign and (one.section, one.name) not in blocked for one in differences))
    ]
    counts += [f"{len(blocked)} blocked"] if blocked else []
    return "\n".join([*lines, (", ".join(counts) or "0 to add") + "."])


def _fields(schema: SchemaChange | None) -> list[str]:
    if schema is None:
        return []
    more = len(schema.fields) - _MOST_FIELDS
    words = f"more than {more} more" if schema.has_more else f"{more} more"
    told = [f"      {one}" for one in schema.fields[:_MOST_FIELDS]]
    return told + ([f"      and {words}"] if more > 0 else [])


def _told(one: Difference) -> tuple[str, ...]:
    if one.schema is not None:
        # Versions say more than that there is another.
        rest = "; ".join(word for word in one.words.split("; ") if word != _CHANGED)
        one = replace(one, words="  ".join(filter(None, (one.schema.words, rest))), schema=None)
    if not one.is_destructive:
        return (one.words,)
    if one.sign == "-" and one.words:
        return (f"destructive: {one.words}",)
    return one.words, "destructive"


def _terms_differences(old: ContractFile | None, new: ContractFile) -> Iterator[Difference]:
    before = {} if old is None else {(one.direction, one.event_type): one for one in old.contract.terms}
    after = {(one.direction, one.event_type): one for one in new.contract.terms}
    old_files: Mapping[str, str] = {} if old is None else dict(old.files)
    new_files = dict(new.files)
    for key, terms in after.items():
        section = SECTIONS[terms.direction]
        was = before.get(key)
        if was is None:
            yield Difference("+", section, terms.event_type, terms.schema_path)
            continue
        words = list(_changed(_flat_terms(was), _flat_terms(terms)))
        if old_files.get(was.schema_path) != new_files.get(terms.schema_path):
            words.insert(0, _CHANGED)
        is_other_id = was.id != terms.id
        if is_other_id:
            words.append("repeats become new events")
        if words:
            yield Difference("~", section, terms.event_type, "; ".join(words), is_destructive=is_other_id)
    for key, terms in before.items():
        if key not in after:
            yield Difference("-", SECTIONS[terms.direction], terms.event_type, "", is_destructive=True)


def _flat_terms(terms: Terms) -> dict[str, str]:
    forward = "none" if terms.forward is None else f"{terms.forward.to} as {terms.forward.event_type}"
    return {
        "schema": terms.schema_path,
        "id": " ".join(terms.id.pointers) or terms.id.mode,
        "key": terms.key_pointer or "none",
        "time": terms.time_pointer or "none",
        "search": " ".join(terms.search) or "none",
        "json": terms.json,
        "compatibility": terms.compatibility,
        "accept_versions": str(terms.accept_versions),
        "forward": forward,
    }


def _section_differences(old: Contract | None, new: Contract) -> Iterator[Difference]:
    before = {} if old is None else _sections(old)
    for section, fields in _sections(new).items():
        if old is None:
            continue
        words = "; ".join(_changed(before[section], fields))
        if words:
            yield Difference("~", section, "", words, is_destructive=_is_losing(section, old, new))


def _is_losing(section: str, old: Contract, new: Contract) -> bool:
    """Whether another value of a section takes something away that does not come back."""
    return section == "keep" and (
        new.keep.content_days < old.keep.content_days or new.keep.evidence_days < old.keep.evidence_days
    )


def _sections(contract: Contract) -> dict[str, dict[str, str]]:
    """Flatten everything beside event types and declared endpoints: section, field, value in words."""
    delivery = contract.delivery
    return {
        "name": {"name": contract.name},
        "contacts": dict(contract.contacts),
        # Certificates and clients are credentials, compared with those that there are.
        "authentication": _words(
            {
                "accept": contract.authentication.accept,
                "require_signature": contract.authentication.require_signature,
                "addresses": contract.authentication.addresses or "any",
            }
        ),
        "limits": _words(_as_written(asdict(contract.limits))),
        "delivery": {
            "retry": _seconds(delivery.delays),
            "order": delivery.order,
            "hold": "none" if delivery.hold_seconds is None else duration_words(delivery.hold_seconds),
        },
        "endpoints": {
            "hosts": " ".join(contract.endpoints.hosts) or "any",
            "verification": contract.endpoints.verification,
        },
        "topics": {"framing": contract.framing},
        "keep": {
            "content": f"{contract.keep.content_days}d",
            "evidence": f"{contract.keep.evidence_days}d",
        },
    }


def _endpoint_differences(old: Contract | None, new: Contract) -> Iterator[Difference]:
    before = {} if old is None else {one.name: one for one in old.endpoints.declared}
    after = {one.name: one for one in new.endpoints.declared}
    for name, endpoint in after.items():
        was = before.get(name)
        if was is None:
            yield Difference("+", "endpoint", name, endpoint.url)
        elif words := "; ".join(_changed(_flat_endpoint(was), _flat_endpoint(endpoint))):
            yield Difference("~", "endpoint", name, words)
    for name in before:
        if name not in after:
            yield Difference("-", "endpoint", name, "", is_destructive=True)


def _flat_endpoint(endpoint: DeclaredEndpoint) -> dict[str, str]:
    return {
        "url": endpoint.url,
        "events": " ".join(sorted(endpoint.types)) or "all",
        "order": endpoint.order,
        "concurrency": str(endpoint.concurrency),
        "rate": "none" if endpoint.per_second is None else f"{endpoint.per_second}/s",
        "retry": _seconds(endpoint.delays),
        "filter": "none" if endpoint.filter is None else json.dumps(written(endpoint.filter)),
        "format": endpoint.format,
        "headers": ", ".join(f"{name}: {value}" for name, value in endpoint.headers) or "none",
    }


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in [*after, *(name for name in before if name not in after)]:
        was, now = before.get(name, "none"), after.get(name, "none")
        if was != now:
            yield f"{name} {was} -> {now}"


def _words(fields: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": text for inner, text in _words(value).items()}
        elif isinstance(value, tuple):
            found[name] = " ".join(map(str, value)) or "none"
        elif isinstance(value, bool):
            found[name] = str(value).lower()
        else:
            found[name] = "none" if value is None else str(value)
    return found


def _as_written(limits: Mapping[str, object]) -> dict[str, object]:
    """Limits with their sizes as a contract has them."""
    return {
        name: size_words(value) if "bytes" in name and isinstance(value, int) else value
        for name, value in limits.items()
    }


def size_words(count: int) -> str:
    """A size as a contract may have it, in the largest unit that it is a whole number of."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count and count % 2**power == 0:
            return f"{count >> power}{unit}"
    return f"{count}B"


def duration_words(seconds: int) -> str:
    """A duration as a contract may have it, in the largest unit that it is a whole number of."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _seconds(delays: tuple[int, ...]) -> str:
    return " ".join(f"{delay}s" for delay in delays)
