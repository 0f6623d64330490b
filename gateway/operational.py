"""Events of the gateway's own: their types, their schemas, and how they are told from what contracts name.

No contract names them and nobody but us may send them. On a topic each carries a receipt, whose evidence says
which of our schemas it was written with: whoever reads it needs neither the contract nor the registry for
that. A type is added to the table here and to `partners.endpoint.OPERATIONAL`; a schema that has once been
used stays, behind the newer one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from audit.errors import MalformedError
from audit.receipt import payload_of
from gateway.channels import Channel, make_channel
from partners.contract import IdRule, Line, Terms
from partners.directory import Account
from schemas.codec import compile_codec
from schemas.schema import Schema, parse_schema
from schemas.subject import topic_record_subject

PREFIX: Final = "gateway."
CONTRACT_CHANGED: Final = "gateway.contract.changed"

EVENT_BYTES: Final = 1_048_576
"""A contract's own limit is for what it names."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of event, and its schemas, newest first."""

    type: str
    schemas: tuple[Schema, ...] = field(repr=False)

    @property
    def schema(self) -> Schema:
        """The one that new events are written with."""
        return self.schemas[0]


@dataclass(frozen=True, slots=True)
class Registration:
    """What the registry calls a schema in a partner's subject."""

    schema: Schema = field(repr=False)
    id: int
    number: int


_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    CONTRACT_CHANGED: ("contract_changed.1.avsc",),
    "gateway.credential.expiring": ("credential_expiring.1.avsc",),
    "gateway.credential.revoked": ("credential_revoked.1.avsc",),
    "gateway.delivery.parked": ("delivery_parked.1.avsc",),
    "gateway.endpoint.disabled": ("endpoint_disabled.1.avsc",),
    "gateway.endpoint.failing": ("endpoint_failing.1.avsc",),
    "gateway.endpoint.recovered": ("endpoint_recovered.1.avsc",),
    "gateway.endpoint.secret_rotated": ("endpoint_secret_rotated.1.avsc",),
    "gateway.event.refused": ("event_refused.1.avsc",),
    "gateway.log.checkpoint_late": ("log_checkpoint_late.1.avsc",),
    "gateway.quota.near": ("quota_near.1.avsc",),
    "gateway.record.unreadable": ("record_unreadable.1.avsc",),
}
"""Their schemas in `gateway/event_schemas`, newest first."""


def is_operational(event_type: str) -> bool:
    """Whether no contract may name such a type."""
    return event_type.startswith(PREFIX)


@lru_cache(len(_FILES) + 16)
def kind_of(event_type: str) -> Kind | None:
    """What is known of a type; None where it is none of ours."""
    names = _FILES.get(event_type)
    if names is None:
        return None
    folder = files("gateway").joinpath("event_schemas")
    return Kind(event_type, tuple(parse_schema(folder.joinpath(one).read_text("utf-8")) for one in names))


def types() -> tuple[str, ...]:
    """All types, by name."""
    return tuple(sorted(_FILES))


def subject_of(kind: Kind, topic: str) -> str:
    """The subject of a type's schemas, for events on a topic."""
    return topic_record_subject(topic, kind.schema.name)


def subjects(topic: str) -> frozenset[str]:
    """The subjects of all types on a topic."""
    known = [kind for kind in map(kind_of, types()) if kind is not None]
    return frozenset(subject_of(kind, topic) for kind in known)


def channel(account: Account, kind: Kind, found: Registration) -> Channel | None:
    """What such events go through, on a partner's outbound topic; None where nothing was agreed yet."""
    if account.contract is None or account.sha256 is None:
        return None
    terms = Terms(
        event_type=kind.type,
        direction="outbound",
        schema_path="",
        id=IdRule("required"),
        key_pointer=None,
        time_pointer=None,
        search=(),
        json="plain",
        compatibility="FULL",
        accept_versions=1,
        forward=None,
    )
    line = Line(terms, subject_of(kind, account.partner.topics.outbound), (found.id,))
    made = make_channel(
        account.partner,
        line,
        {found.id: (found.number, found.schema)},
        lambda _id, pointers, json_flavour: compile_codec(found.schema, pointers, json_flavour),
        in_force=(account.contract, account.sha256),
        event_bytes=EVENT_BYTES,
    )
    return replace(made, event_bytes=EVENT_BYTES)


def registration_in(receipt: str, kind: Kind) -> Registration | None:
    """With which of our schemas a record was written, by its receipt, whose signature is not verified.

    None: with none of them, or it is no receipt of this type.
    """
    try:
        members = json.loads(payload_of(receipt))
        named = members["schema"]
        fingerprint, schema_id, number = named["fingerprint"], named["id"], named["version"]
    except (MalformedError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if members.get("type") != kind.type or not (_is_count(schema_id) and _is_count(number)):
        return None
    found = next((one for one in kind.schemas if one.fingerprint.hex() == fingerprint), None)
    return None if found is None else Registration(found, schema_id, number)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31
