"""Is an event that comes again the one that was accepted, though another schema is in force by now?

The claim of the first holds no data, only the digest of what was accepted under the schema of its time: the
second is put into that schema's form, and its digest compared.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache

from gateway.channels import Version
from gateway.event import event_digest
from gateway.ingress.draft import Draft
from gateway.ingress.form import encode
from schemas.errors import DatumError, JsonTextError, SchemaError
from schemas.resolution import avro_reader_for
from schemas.schema import Schema

Written = tuple[Version, bytes]
"""What an event was encoded under just now, and its datum."""


def is_under(version: Version, draft: Draft, digest: bytes, written: Written | None = None) -> bool:
    """Whether a draft has this event digest under an earlier version.

    Either as it was sent; or as its datum, `written` under another version, reads under the earlier one,
    where nothing of it is lost on the way there and back: a null or a default that only the newer one knows.
    """
    return any(
        event_digest(version.schema.fingerprint, draft.type or "", draft.attributes, datum) == digest
        for datum in _candidates(version, draft, written)
    )


def _candidates(version: Version, draft: Draft, written: Written | None) -> Iterator[bytes]:
    # Bare Avro says nothing by itself: read under a schema it was not written with, it may be anything.
    if draft.form.kind == "json" or (written is None and draft.form.fits(version)):
        with suppress(DatumError, JsonTextError):
            yield encode(draft.form, draft.data, version).avro
    if written is not None:
        now, datum = written
        with suppress(DatumError, SchemaError):
            there, back = _ways(now.schema, version.schema)
            earlier = there(datum)
            if back(earlier) == datum:
                yield earlier


@lru_cache(64)
def _ways(now: Schema, before: Schema) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return avro_reader_for(now.root, before.root), avro_reader_for(before.root, now.root)
