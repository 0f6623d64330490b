"""One line of a contract joined with its codecs and its topic.

The only place where partners meets schemas.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from audit.marks import join_search
from gateway.event import Direction, default_source, is_time
from gateway.record import Framing, SchemaRef
from partners.contract import Contract, IdRule, Line, join_id
from partners.partner import Partner
from schemas.codec import Codec
from schemas.errors import SchemaError
from schemas.leaf import JsonFlavour
from schemas.schema import Schema
from schemas.subject import topic_record_subject

CompileCodec = Callable[[int, tuple[str, ...], JsonFlavour], Codec]
"""Schema id, pointers, `plain` or `avro`: the compiled codec, from a cache."""


@dataclass(frozen=True, slots=True)
class Version:
    """One accepted schema version of a line, ready to use."""

    schema_id: int
    number: int
    schema: Schema
    codec: Codec

    @property
    def ref(self) -> SchemaRef:
        """As records name it."""
        return SchemaRef(self.schema_id, self.schema.guid)


@dataclass(frozen=True, slots=True)
class Channel:
    """What one partner may exchange of one event type, in one direction.

    `log`: the partner's log without the epoch's host, that is its random public name. `contract`: its
    revision; `contract_sha256`: as of `partners.contract`, empty where nothing is accepted by it any more.
    `versions`: accepted, newest first; `former`: once accepted, under whatever subject.
    """

    partner: str
    log: str
    contract: int
    contract_sha256: bytes
    line: Line
    versions: tuple[Version, ...]
    topic: str
    partition: int
    framing: Framing
    event_bytes: int
    keep_content_days: int
    keep_evidence_days: int
    former: tuple[Version, ...] = ()

    @property
    def direction(self) -> Direction:
        """`inbound`: the partner sends; `outbound`: the partner receives."""
        return self.line.terms.direction

    @property
    def event_type(self) -> str:
        """The event type of this line."""
        return self.line.terms.event_type

    @property
    def source(self) -> str:
        """The source of events whose sender names none."""
        return default_source(self.partner, self.direction)

    def subject_of(self, version: Version) -> str:
        """The subject that a version is one of: of a former record name, another than the line's."""
        return topic_record_subject(self.topic, version.schema.name)

    def readable(self) -> Iterator[Version]:
        """Every version that records on the topic may be of: those accepted, then those that once were."""
        yield from self.versions
        yield from self.former

    def id_of(self, values: Mapping[str, str | None]) -> str | None:
        """The event id at the contract's pointers; None where the contract names none, or one is absent."""
        return id_from(self.line.terms.id, values)

    def key_of(self, values: Mapping[str, str | None]) -> bytes | None:
        """The record key: UTF-8 of the value at the contract's key pointer."""
        text = _value(values, self.line.terms.key_pointer)
        return None if text is None else text.encode()

    def search_of(self, values: Mapping[str, str | None]) -> bytes | None:
        """Hashes of the values at the contract's search pointers, as the log keeps them; None: none."""
        wanted = self.line.terms.search
        return join_search(values.get(pointer) for pointer in wanted) if wanted else None

    def time_of(self, values: Mapping[str, str | None]) -> str | None:
        """The event time at the contract's time pointer; None where no RFC 3339 time stands there."""
        text = _value(values, self.line.terms.time_pointer)
        return text if text is not None and is_time(text) else None


@dataclass(frozen=True, slots=True)
class Gone:
    """What events of a type are read with that no contract has any more. `channel`: by the last that had it.

    `until`: when that contract was followed by another, Unix milliseconds.
    """

    channel: Channel
    until: int


def id_from(rule: IdRule, values: Mapping[str, str | None]) -> str | None:
    """The event id that the values at the rule's pointers make; None where one is absent or empty."""
    if rule.mode != "pointers":
        return None
    parts = [values.get(pointer) for pointer in rule.pointers]
    return None if not all(parts) else join_id([part for part in parts if part])


def pointers_of(line: Line) -> tuple[str, ...]:
    """Every pointer of a line whose value the gateway needs, once each, in a fixed order."""
    terms = line.terms
    wanted = [*terms.id.pointers, terms.key_pointer, terms.time_pointer, *terms.search]
    return tuple(dict.fromkeys(pointer for pointer in wanted if pointer is not None))


def make_channel(
    partner: Partner,
    line: Line,
    known: Mapping[int, tuple[int, Schema]],
    compile_codec: CompileCodec,
    *,
    in_force: tuple[Contract, bytes],
    event_bytes: int,
) -> Channel:
    """Join a line with its schemas.

    `known`: version number and schema of all that the type ever had, by schema id; those that the line does
    not accept may still be on the topic. `in_force`: the contract, and its digest as `contract_sha256`.
    `event_bytes`: the largest event where the contract names no limit.
    """
    contract, contract_sha256 = in_force
    inbound = line.terms.direction == "inbound"
    pointers = pointers_of(line)
    return Channel(
        partner=partner.slug,
        log=partner.log,
        contract=contract.revision,
        contract_sha256=contract_sha256,
        line=line,
        versions=tuple(
            Version(one, *known[one], compile_codec(one, pointers, line.terms.json))
            for one in line.schema_ids
        ),
        topic=partner.topics.inbound if inbound else partner.topics.outbound,
        partition=partner.topics.inbound_partition if inbound else partner.topics.outbound_partition,
        framing=contract.framing,
        event_bytes=contract.limits.event_bytes or event_bytes,
        keep_content_days=contract.keep.content_days,
        keep_evidence_days=contract.keep.evidence_days,
        former=tuple(
            Version(one, *known[one], _compile_former(one, pointers, line, compile_codec))
            for one in sorted(known.keys() - set(line.schema_ids), reverse=True)
        ),
    )


def _compile_former(
    schema_id: int, pointers: tuple[str, ...], line: Line, compile_codec: CompileCodec
) -> Codec:
    """A former schema may lack what today's pointers lead to: it is read without them then."""
    try:
        return compile_codec(schema_id, pointers, line.terms.json)
    except SchemaError:
        return compile_codec(schema_id, (), line.terms.json)


def _value(values: Mapping[str, str | None], pointer: str | None) -> str | None:
    return None if pointer is None else values.get(pointer)
