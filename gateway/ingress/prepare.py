"""From a draft to a signed claim, without I/O: validate, encode, identify, size, sign.

Nothing durable happens here: a process killed at this point leaves no trace, and the repeat starts anew.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from audit.errors import EvidenceRuleError
from audit.evidence import Kind, make_evidence
from audit.note import Signer
from audit.receipt import issue
from audit.ref import format_ref
from gateway.broker.port import Record, record_bytes
from gateway.channels import Channel, Version, id_from
from gateway.event import (
    MAX_BYTES,
    Direction,
    EventKey,
    default_source,
    event_digest,
    has_control,
    is_of_another,
)
from gateway.event_json import NO_DATA
from gateway.honest_clock import MAX_DIFFERENCE_MS
from gateway.ingress.claims import Claim
from gateway.ingress.content import broken
from gateway.ingress.draft import Draft
from gateway.ingress.form import Form, encode, versions_of
from gateway.ingress.named_schema import bind_form
from gateway.ingress.outcome import Refused
from gateway.origin_evidence import Origin
from gateway.record import Encoded, Place, encode_record
from schemas import codec
from schemas.errors import DatumError, JsonTextError
from schemas.json_reader import read_json

MOST_HEADER_BYTES: Final = 6_000
"""What a record takes at most beside datum, key, receipt and our origin: its attributes are bounded."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What one request adds to its events: who sent it and how proven, when, and what signs for us.

    `signed`: the sender's own signature over the request. `message_id`: the id of an event that has no other.
    `batch_key`: what its sender calls the batch that it is of. `place`: the event's in the request, from 0.
    """

    method: str
    credential: str | None
    idempotency_key: str | None
    signed: Origin | None
    now: int
    origin: str
    log_host: str
    signer: Signer
    entropy: Callable[[int], bytes]
    record_limit: int
    message_id: str | None = None
    batch_key: str | None = None
    place: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signed claim that nobody holds yet, the draft it came from, and what it was checked against."""

    claim: Claim
    draft: Draft
    channel: Channel
    version: Version

    @property
    def schema(self) -> tuple[str, int, int]:
        """Its schema for the answer: subject, version and id."""
        return (self.channel.line.subject, self.version.number, self.version.schema_id)


def prepare(draft: Draft, channel: Channel, at: Circumstances) -> Prepared | Refused:
    """Check a draft against its channel and sign for it."""
    form = bind_form(draft.form, draft.data_schema, at.origin)
    if isinstance(form, Refused):
        return form
    encoded = encode_draft(draft, form, channel)
    if isinstance(encoded, Refused):
        return encoded
    version, datum = encoded
    event_id = identify(draft, channel, datum.values, at)
    if isinstance(event_id, Refused):
        return event_id
    if channel.direction == "inbound" and draft.source and is_of_another(draft.source, channel.partner):
        return Refused(
            "event_attribute_invalid",
            "The attribute source is a name of another party: below /house and /partners nobody but that one "
            f"sends. Leave it out (it is {channel.source} then), or name one of your own.",
        )
    key = EventKey(channel.partner, channel.direction, draft.source or channel.source, event_id)
    try:
        claim = _sign(key, draft, channel, version, datum, at)
    except EvidenceRuleError as error:
        return Refused("event_attribute_invalid", f"The event's id or attributes cannot be recorded: {error}")
    large = len(datum.avro) + len(claim.receipt) + len(claim.record_key or b"")
    # Most are so small that nobody need count what their headers take.
    if large + len(at.origin) + MOST_HEADER_BYTES > at.record_limit:
        size = record_bytes(make_record(claim, version, at.origin))
        if size > at.record_limit:
            return Refused(
                "event_too_large",
                f"Encoded with its headers the event takes {size} bytes; the broker takes {at.record_limit}.",
            )
    return Prepared(claim, draft, channel, version)


def encode_draft(draft: Draft, form: Form, channel: Channel) -> tuple[Version, codec.Encoded] | Refused:
    """Encode under the newest accepted version that takes the data; faults are told against the newest.

    Data that names its version is of that one; Avro that names none, of the newest. `form`: with the schema
    that `dataschema` names.
    """
    if len(draft.data) > channel.event_bytes:
        limit = channel.event_bytes
        return Refused(
            "event_too_large", f"The event has {len(draft.data)} bytes; the contract allows {limit}."
        )
    refused: Refused | None = None
    versions = versions_of(form, channel)
    if isinstance(versions, Refused):
        return versions
    for version in versions:
        if not draft.data:
            return _invalid(DatumError((NO_DATA,), 1), channel, version)
        try:
            return version, encode(form, draft.data, version)
        except DatumError as error:
            refused = refused or _invalid(error, channel, version)
        except JsonTextError as error:
            return broken("The event's data", error)
    return refused or Refused("event_type_unknown", "No schema version of this type is accepted.")


def identify(
    draft: Draft, channel: Channel, values: Mapping[str, str | None], at: Circumstances
) -> str | Refused:
    """The event id: `ce-id`, else the contract's pointers, else `Idempotency-Key`, else made if so agreed.

    Two sources that disagree are refused: a silent choice would make two events of one. What a webhook is
    called by its sender counts where there is none of them: senders give every message a name of its own.
    """
    rule = channel.line.terms.id
    given = (draft.id, id_from(rule, values), at.idempotency_key)
    named = [one for one in given if one is not None]
    if not named and at.message_id is not None:
        named = [at.message_id]
    if len(set(named)) > 1:
        return Refused(
            "event_id_mismatch",
            "The event has two different ids: ce-id, the contract's id pointers and Idempotency-Key must "
            "agree where more than one of them is given.",
        )
    if named:
        if len(named[0].encode()) > MAX_BYTES["id"] or has_control(named[0]):
            text = f"An event id has at most {MAX_BYTES['id']} bytes, and no control characters."
            return Refused("event_attribute_invalid", text)
        return named[0]
    if rule.mode == "generated":
        return _repeatable_id(at) or at.entropy(16).hex()
    where = f"the data at {', '.join(rule.pointers)}, " if rule.pointers else ""
    return Refused("event_id_missing", f"The event has no id: give it in {where}ce-id or Idempotency-Key.")


def _repeatable_id(at: Circumstances) -> str | None:
    """An id that is the same in a repeat of the request; None where nothing tells a repeat from a new one.

    The sender's key before its signature: who repeats a batch may sign it anew.
    """
    if at.batch_key is not None:
        return _id_of(f"Idempotency-Key {at.batch_key}", at.place)
    if at.signed is not None:
        # Drawn at random, each replay of a captured request would be another event that its sender signed.
        return _id_of(at.signed.name(), at.place)
    return None


def _id_of(request: str, place: int) -> str:
    return hashlib.sha256(f"{request}/{place}".encode()).hexdigest()[:32]


def raw_key(
    draft: Draft, partner: str, direction: Direction, *, channel: Channel | None, at: Circumstances
) -> EventKey | None:
    """The identity of a draft that today's contract refuses, as far as it can be told.

    It may have been accepted before. `channel` None: its type is no longer in the contract.
    """
    event_id = draft.id
    if event_id is None and channel is not None and channel.line.terms.id.mode == "pointers":
        event_id = _id_in(draft, channel)
    event_id = at.idempotency_key if event_id is None else event_id
    event_id = at.message_id if event_id is None else event_id
    if event_id is None and channel is not None and channel.line.terms.id.mode == "generated":
        event_id = _repeatable_id(at)
    source = draft.source or default_source(partner, direction)
    return None if event_id is None else EventKey(partner, direction, source, event_id)


def _id_in(draft: Draft, channel: Channel) -> str | None:
    rule = channel.line.terms.id
    if draft.form.kind == "avro":
        return _id_in_avro(draft, channel)
    try:
        data = read_json(draft.data)
    except (DatumError, JsonTextError):
        return None
    return id_from(rule, {pointer: _scalar_at(data, pointer) for pointer in rule.pointers})


def pin(draft: Draft, channel: Channel) -> Draft:
    """The draft with the global id of the schema that its data names, though it may no longer be accepted."""
    if draft.form.kind == "json" or not draft.form.is_named:
        return draft
    named = next((one for one in channel.readable() if draft.form.fits(one)), None)
    return draft if named is None else replace(draft, form=Form("avro", schema_id=named.schema_id))


def _id_in_avro(draft: Draft, channel: Channel) -> str | None:
    version = next((one for one in channel.readable() if draft.form.fits(one)), None)
    try:
        return None if version is None else channel.id_of(version.codec.normalised_avro(draft.data).values)
    except DatumError:
        return None


def make_record(claim: Claim, version: Version, origin: str) -> Record:
    """The record that a claim stands for: the same bytes whoever makes it, and whenever."""
    if claim.datum is None:
        raise ValueError("a confirmed claim has no datum left to publish")
    event = Encoded(
        claim.type,
        claim.key,
        claim.attributes,
        claim.datum,
        version.ref,
        claim.framing,
        claim.receipt,
    )
    place = Place(claim.topic, claim.partition, claim.record_key, claim.at)
    return encode_record(event, place, origin=origin)


def _invalid(error: DatumError, channel: Channel, version: Version) -> Refused:
    faults = "1 fault" if error.total == 1 else f"{error.total} faults"
    return Refused(
        "event_invalid",
        f"{faults} against {channel.event_type} version {version.number}.",
        error.faults,
        error.total,
        (channel.line.subject, version.number, version.schema_id),
        f"GET {_sample_path(channel)} shows what is expected.",
    )


def _sample_path(channel: Channel) -> str:
    """Where the sender finds a valid sample: a partner by its own path, our side by the partner's."""
    rest = f"types/{channel.event_type}/sample"
    if channel.direction == "inbound":
        return f"/v1/{rest}"
    return f"/v1/partners/{channel.partner}/{rest}?direction=outbound"


def _scalar_at(data: object, pointer: str) -> str | None:
    for part in pointer.split("/")[1:]:
        if not isinstance(data, dict):
            return None
        data = data.get(part.replace("~1", "/").replace("~0", "~"))
    if isinstance(data, bool):
        return "true" if data else "false"
    return str(data) if isinstance(data, str | int) else None


def _sign(
    key: EventKey, draft: Draft, channel: Channel, version: Version, datum: codec.Encoded, at: Circumstances
) -> Claim:
    attributes = dict(draft.attributes)
    time = channel.time_of(datum.values)
    if "time" not in attributes and time is not None:
        attributes["time"] = time
    ref = key.ref()
    log = f"{at.log_host}/log/{channel.log}"
    content_sha256 = hashlib.sha256(draft.content.raw).digest()
    event_sha256 = event_digest(version.schema.fingerprint, channel.event_type, draft.attributes, datum.avro)
    members = {
        "partner": key.partner,
        "direction": key.direction,
        "ref": format_ref(ref),
        "source": key.source,
        "id": key.id,
        "type": channel.event_type,
        "attributes": {name: attributes[name] for name in sorted(attributes)},
        **_what_was_received(draft, content_sha256),
        **_what_was_made(channel, version, datum, event_sha256),
        **_terms(channel, at),
    }
    evidence = make_evidence(Kind.ACCEPTED, members, iss=at.origin, log=log, at=at.now, salt=at.entropy(32))
    return Claim(
        ref=ref,
        key=key,
        type=channel.event_type,
        attributes=attributes,
        log=log,
        event_sha256=event_sha256,
        content_sha256=content_sha256,
        content=draft.content,
        receipt=issue(evidence, at.signer).token,
        schema_id=version.schema_id,
        framing=channel.framing,
        topic=channel.topic,
        partition=channel.partition,
        record_key=_record_key(draft, channel, datum),
        at=at.now,
        datum=datum.avro,
        origin_signature=None if at.signed is None else at.signed.to_json(),
        search=channel.search_of(datum.values),
    )


def _record_key(draft: Draft, channel: Channel, datum: codec.Encoded) -> bytes | None:
    """The key at the contract's pointer; only where it names none, the sender's `partitionkey`.

    Source: CloudEvents Kafka protocol binding 1.0.2, section 3.1; the attribute stays where it is.
    """
    if channel.line.terms.key_pointer is not None:
        return channel.key_of(datum.values)
    text = draft.attributes.get("partitionkey")
    return None if text is None else text.encode()


def _what_was_received(draft: Draft, content_sha256: bytes) -> dict[str, object]:
    content = {
        "sha256": content_sha256.hex(),
        "length": len(draft.content.raw),
        "type": draft.content.media_type,
        "encoding": draft.content.encoding,
    }
    return {"content": content}


def _what_was_made(
    channel: Channel, version: Version, datum: codec.Encoded, event_sha256: bytes
) -> dict[str, object]:
    return {
        "schema": {
            "subject": channel.line.subject,
            "version": version.number,
            "id": version.schema_id,
            "fingerprint": version.schema.fingerprint.hex(),
        },
        "record": {
            "sha256": hashlib.sha256(datum.avro).hexdigest(),
            "topic": channel.topic,
            "partition": channel.partition,
        },
        "event_sha256": event_sha256.hex(),
        "validation": "passed",
    }


def _terms(channel: Channel, at: Circumstances) -> dict[str, object]:
    return {
        "origin": "none" if at.signed is None else at.signed.sha256(),
        "auth": {"method": at.method, "credential": at.credential},
        "contract": channel.contract,
        "contract_sha256": channel.contract_sha256.hex(),
        "clock": {"source": "host", "within_ms": MAX_DIFFERENCE_MS},
        "keep": {
            "content_days": channel.keep_content_days,
            "evidence_days": channel.keep_evidence_days,
            "hold": None,
        },
    }
