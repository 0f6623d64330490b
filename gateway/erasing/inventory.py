"""The erasure inventory: of every column, whether it can hold anything of an event, and what becomes of it.

A new table or column has no fate, and a house test fails until somebody has said here what becomes of it:
erased with the event, or why not. What is out of reach is told to users in docs/erasure.md, in words that the
same test looks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `erased`: columns emptied, or whose row goes, with the event; `kept`: those that stay.

    `why`: what the columns that stay hold, and why they may. `told`: words of docs/erasure.md that say so,
    where they can hold anything of an event; empty: they cannot.
    """

    kept: str
    why: str
    erased: str = ""
    told: str = ""

    def columns(self) -> frozenset[str]:
        """All columns that have a fate."""
        return frozenset((*self.erased.split(), *self.kept.split()))


def _nothing(kept: str, why: str) -> Table:
    return Table(kept, why)


INVENTORY: Final[Mapping[str, Table]] = {
    "audit_entry": Table(
        "log epoch index leaf kind at ref partner direction event_type endpoint code is_first credential",
        "the leaf commits to a salt that is gone; the rest names no event but by its ref",
        erased="evidence source event_id search",
        told="leaf, index, kind, hour of each entry",
    ),
    "audit_erasure": _nothing("log epoch first end at erasure basis", "what was erased, and why"),
    "audit_expiry": _nothing("log epoch next due_at held_epoch held_next", "places in a log"),
    "audit_head": _nothing(
        "log epoch size edge checkpoint checkpoint_size", "hashes, and signatures over them"
    ),
    "audit_hold": _nothing(
        "id log partner is_listed since_at until_at basis set_role set_credential set_at lifted_at "
        "lifted_basis lifted_role lifted_credential",
        "what is held, and why",
    ),
    "audit_hold_ref": Table("ref hold", "the ref of what is held", told="the ref"),
    "audit_mark": Table(
        "mark at epoch index",
        "that an event reached a state, or was meant for an endpoint; of values and digests the row goes",
        told="in which states it was",
    ),
    "audit_node": _nothing("log epoch level index hash", "hashes over leaves"),
    "audit_pending": Table(
        "id log at raw search",
        "evidence on its way: an event of which there is some waits until the log has it",
        told="An event that the log has not got yet waits",
    ),
    "gateway_acknowledgement": Table(
        "endpoint ref partner credential at", "that a delivery of a ref was acknowledged", told="the ref"
    ),
    "gateway_announcement": Table(
        "number partner event_id event_type data at until",
        "an event of the gateway's own, until it is published within a second or two",
        told="events that the gateway itself has told",
    ),
    "gateway_anchor_note": _nothing(
        "origin size note lines is_enough is_kept at", "checkpoints of the anchor, and their cosignatures"
    ),
    "gateway_anchor_round": _nothing("at blind heads is_kept", "heads of logs: hashes, and what blinds them"),
    "gateway_attempt": Table("", "", erased="id endpoint ref at excerpt"),
    "gateway_backlog": _nothing(
        "endpoint topic_id partition topic from_offset to_offset events began_at", "ranges of offsets"
    ),
    "gateway_breaker": _nothing("endpoint failures probe_at failing_since", "of endpoints"),
    "gateway_claim": Table(
        "ref partner log direction schema_id framing topic topic_id partition offset at state lease_until "
        "leaf_index",
        "the tombstone: the ref, and where on the topic the record lies",
        erased="source event_id event_type event_sha256 content_sha256 receipt key attributes content "
        "content_type content_encoding origin_signature datum owner search",
        told="a tombstone that holds the ref alone",
    ),
    "gateway_consumer": _nothing(
        "partner side direction name types topic_id offsets credential created_at updated_at",
        "places in streams",
    ),
    "gateway_credential_use": _nothing("credential used_at", "of credentials"),
    "gateway_delivery": Table(
        "endpoint ref partner event_type topic topic_id partition offset schema_id attempts next_at state "
        "reason created_at updated_at asked_at",
        "that a delivery of a ref is cancelled, so that no replay sends it",
        erased="source event_id order_key payload search",
        told="deliveries that wait, or were parked",
    ),
    "gateway_demand": _nothing("partner owner wanted until", "rates"),
    "gateway_endpoint_hour": _nothing("endpoint hour outcome within_ms count", "counts"),
    "gateway_erasure": Table(
        "id partner refs since_at until_at basis role credential state place total done erased held absent "
        "pending next_at again_at created_at ended_at",
        "what was asked to be erased, by its refs",
        told="the ref",
    ),
    "gateway_export": _nothing(
        "id partner format content_wanted stretches state done parts erased size error created_at ended_at "
        "owner epoch lease_until",
        "ranges of a log, and how far its files are made",
    ),
    "gateway_export_part": _nothing(
        "export_id number stretch first end erased size sha256 first_at last_at",
        "of a file that is made anew whenever it is asked for: its range, and a digest over salted evidence",
    ),
    "gateway_import": Table(
        "id partner direction event_type media_type schema_id header method credential origin "
        "idempotency_key fingerprint dry_run state bytes total done accepted duplicates refused waits_for "
        "broken error created_at ended_at owner epoch lease_until",
        "of a body of many events: its digest, its schema, a signature over all of it; goes with the import",
        told="the body of an import",
    ),
    "gateway_import_piece": Table(
        "import_id number first count line offset raw",
        "a part of a body that is being worked on, used up with its last event",
        told="the body of an import",
    ),
    "gateway_import_result": Table(
        "import_id first count duplicates refused raw",
        "refs; of a refused conflict the digests of the event that had the id; goes with the import",
        told="digests in the results",
    ),
    "gateway_instance": _nothing("role owner until", "of processes"),
    "gateway_key": _nothing(
        "id purpose sealed public_key created_at retired_at signs_from retires_at compromised_at reason "
        "label",
        "our keys",
    ),
    "gateway_lease": _nothing("role shard owner epoch until", "of processes"),
    "gateway_look": Table("credential partner subject until", "who looked, by the ref", told="content.read"),
    "gateway_meta": _nothing("name value", "facts about the installation"),
    "gateway_nonce": _nothing("credential nonce until", "of signatures"),
    "gateway_position": _nothing("role topic_id partition topic next finished left_by", "offsets"),
    "gateway_repeat": Table("", "", erased="credential key digest token answer open_until until"),
    "gateway_replay": _nothing(
        "id partner endpoint which types since_at until_at rate dry_run state created_at ended_at",
        "what was asked for",
    ),
    "gateway_replay_range": _nothing(
        "replay endpoint topic_id partition topic from_offset next_offset to_offset handed delivered waiting "
        "cancelled passed lost",
        "offsets and counts",
    ),
    "gateway_secret": _nothing("name sealed", "secrets of our own"),
    "gateway_usage": _nothing("partner day bytes", "counts"),
    "gateway_witness": _nothing(
        "key origin size cosigned_at asked_at problem", "how it stands with witnesses"
    ),
    "partners_contract": _nothing(
        "partner revision file text files value lines sha256 applied_at applied_by", "contracts"
    ),
    "partners_counter": _nothing("id value", "a number"),
    "partners_credential": _nothing(
        "id partner role method shown_as secret scopes name not_before not_after revoked_at revoked_for "
        "changed created_at send_types events_per_second",
        "credentials",
    ),
    "partners_endpoint": _nothing(
        "id partner name url types ordering concurrency per_second delays sealed_keys state declared "
        "created_at filter format headers secret_terms skips begins",
        "endpoints",
    ),
    "partners_endpoint_access": _nothing("endpoint partner sealed changed_at", "secrets of endpoints"),
    "partners_partner": _nothing(
        "slug log name inbound inbound_partition outbound outbound_partition state revision changed "
        "created_at",
        "partners",
    ),
    "schemas_reference": _nothing("schema_id position name subject number", "schemas"),
    "schemas_schema": _nothing("id text_sha256 guid name fingerprint text created_at", "schemas"),
    "schemas_subject": _nothing("subject highest level mode", "schemas"),
    "schemas_version": _nothing("subject number schema_id created_at deleted_at", "schemas"),
}
"""By name of the table."""
