"""An endpoint as its row holds it, there and back."""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Final, cast

from pydantic import TypeAdapter

from partners.endpoint import Endpoint, EndpointState, Format, Order, SecretTerms, Skip, party_of, secret_id
from partners.filter import Filter
from partners.rows import EndpointRow

_PAUSED: Final = "+pause"
"""Behind the state of one that is unverified, and was paused before: the column has room for no more."""

_HEADERS: Final = TypeAdapter(tuple[tuple[str, str], ...])
_FILTER: Final[TypeAdapter[Filter]] = TypeAdapter(Filter)
_SECRETS: Final = TypeAdapter(tuple[SecretTerms, ...])
_SKIPS: Final = TypeAdapter(tuple[Skip, ...])
_BEGINS: Final = TypeAdapter(tuple[str, int])


def endpoint_of(row: EndpointRow, access: bytes | None) -> Endpoint:
    """The endpoint of a row. `access`: what it demands of us, sealed."""
    partner, side = party_of(row.partner)
    sealed = json.loads(row.sealed_keys)
    return Endpoint(
        id=row.id,
        partner=partner,
        name=row.name,
        url=row.url,
        types=frozenset(json.loads(row.types)),
        order=cast("Order", row.ordering),
        concurrency=row.concurrency,
        per_second=row.per_second,
        delays=tuple(json.loads(row.delays)),
        keys=tuple(map(base64.b64decode, sealed)),
        state=cast("EndpointState", row.state.partition(_PAUSED)[0]),
        declared=row.declared,
        access=access,
        side=side,
        created_at=row.created_at,
        begins=None if row.begins is None else _BEGINS.validate_json(row.begins),
        filter=None if row.filter is None else _FILTER.validate_json(row.filter),
        format=cast("Format", row.format),
        headers=_HEADERS.validate_json(row.headers),
        secrets=_secrets(row, sealed),
        skips=_SKIPS.validate_json(row.skips),
        is_paused=row.state.endswith(_PAUSED),
    )


def written_states(states: Iterable[str]) -> frozenset[str]:
    """What stands in rows of endpoints in one of these states."""
    return frozenset(each for one in states for each in (one, f"{one}{_PAUSED}"))


def _secrets(row: EndpointRow, sealed: Sequence[str]) -> tuple[SecretTerms, ...]:
    """The terms of each secret; of those that a former program has made, what they come to."""
    known = () if row.secret_terms is None else _SECRETS.validate_json(row.secret_terms)
    if len(known) == len(sealed):
        return known
    return tuple(SecretTerms(secret_id(text.encode()), row.created_at) for text in sealed)


def values_of(endpoint: Endpoint) -> dict[str, object]:
    """What is written of an endpoint, by column."""
    return {
        "partner": endpoint.owner,
        "name": endpoint.name,
        "url": endpoint.url,
        "types": json.dumps(sorted(endpoint.types)),
        "ordering": endpoint.order,
        "concurrency": endpoint.concurrency,
        "per_second": endpoint.per_second,
        "delays": json.dumps(endpoint.delays),
        "sealed_keys": json.dumps([base64.b64encode(key).decode("ascii") for key in endpoint.keys]),
        "state": endpoint.state + _PAUSED * endpoint.is_paused,
        "declared": endpoint.declared,
        "filter": None if endpoint.filter is None else _FILTER.dump_json(endpoint.filter).decode(),
        "format": endpoint.format,
        "headers": _HEADERS.dump_json(endpoint.headers).decode(),
        "secret_terms": _SECRETS.dump_json(endpoint.secrets).decode() if endpoint.secrets else None,
        "skips": _SKIPS.dump_json(endpoint.skips).decode(),
        "begins": None if endpoint.begins is None else _BEGINS.dump_json(endpoint.begins).decode(),
    }
