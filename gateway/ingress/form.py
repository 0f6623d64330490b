"""In which form the data of an event was sent, and from there to Avro under one version of its schema.

Avro from outside is read by the bounded reader and written anew: what is signed and published is the one
canonical spelling of the datum. Where the sender's bytes were another, evidence holds the digests of both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import UUID

from gateway.channels import Channel, Version
from gateway.ingress.outcome import Refused
from schemas import codec
from schemas.errors import FramingError
from schemas.fault import Fault
from schemas.framing import decode_prefix

AVRO: Final = "application/avro"
"""A bare datum; the query may name its schema."""

CONFLUENT: Final = "application/vnd.confluent.avro"
"""Byte 00, four bytes of schema id, the datum: what stock serializers make."""

NAMES: Final = frozenset({"schema_version", "schema_id", "schema_guid"})
"""Query parameters that say which schema a bare datum was written with; one of them at most."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """How the data stands. Of Avro, at most one name of its schema: version, global id or GUID."""

    kind: Literal["json", "avro"] = "json"
    version: int | None = None
    schema_id: int | None = None
    guid: UUID | None = None

    def fits(self, version: Version) -> bool:
        """Whether a version is the one that is named, or none is named."""
        return (
            self.version in {None, version.number}
            and self.schema_id in {None, version.schema_id}
            and self.guid in {None, version.schema.guid}
        )

    @property
    def is_named(self) -> bool:
        """Whether it names its schema."""
        return not (self.version is None and self.schema_id is None and self.guid is None)


JSON: Final = Form()


def read_form(essence: str, query: Mapping[str, str]) -> Form | Refused:
    """The form that a media type (lower case, without parameters) and the query announce."""
    named = sorted(NAMES & query.keys())
    if essence not in {AVRO, CONFLUENT}:
        if named:
            return _refuse(
                f"The parameter {named[0]} belongs to {AVRO}; JSON is tried against every accepted version."
            )
        return JSON
    if essence == CONFLUENT and named:
        return _refuse(f"The parameter {named[0]} is not taken here: the body itself names its schema's id.")
    if len(named) > 1:
        return _refuse(f"The parameters {' and '.join(named)} say the same: give one of them.")
    if not named:
        return Form("avro")
    text = query[named[0]]
    if named[0] == "schema_guid":
        return (
            Form("avro", guid=UUID(text))
            if _GUID.fullmatch(text)
            else _refuse("The parameter schema_guid is no GUID.")
        )
    if not _NUMBER.fullmatch(text):
        return _refuse(f"The parameter {named[0]} is a whole number from 1 on.")
    return (
        Form("avro", version=int(text)) if named[0] == "schema_version" else Form("avro", schema_id=int(text))
    )


def unframe(body: bytes, essence: str, form: Form) -> tuple[Form, bytes] | Refused:
    """The datum of a body, and the form with the schema that its framing names."""
    if essence != CONFLUENT:
        return form, body
    try:
        schema_id, datum = decode_prefix(body)
    except FramingError as error:
        fault = Fault("", "encoding", str(error), "byte 00, four bytes of schema id, the datum")
        return Refused("event_invalid", "The body has no schema id where one must stand.", (fault,), 1)
    return replace(form, schema_id=schema_id), datum


def versions_of(form: Form, channel: Channel) -> Sequence[Version] | Refused:
    """The accepted versions that data of this form may be of, the likeliest first.

    Bare Avro that names no schema is of the newest: under an earlier one the same bytes may mean another
    thing, without an error.
    """
    if not form.is_named:
        return channel.versions if form.kind == "json" else channel.versions[:1]
    found = [version for version in channel.versions if form.fits(version)]
    if found:
        return found
    listed = ", ".join(f"{one.number} (id {one.schema_id})" for one in channel.versions)
    return Refused(
        "schema_version_unknown",
        f"The schema that the data names is no accepted version of {channel.event_type}; accepted: {listed}.",
    )


def encode(form: Form, data: bytes, version: Version) -> codec.Encoded:
    """The canonical datum of data that was sent in this form.

    Raises:
        JsonTextError: no JSON text.
        DatumError: it is no datum of the schema.
    """
    if form.kind == "json":
        return version.codec.avro_from_json(data)
    return version.codec.normalised_avro(data)


def _refuse(text: str) -> Refused:
    return Refused("parameter_invalid", text)
