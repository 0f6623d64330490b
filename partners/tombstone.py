"""What is left of an endpoint that is no more: enough to tell which events it was owed."""

from typing import Final

from pydantic import TypeAdapter

from partners.endpoint import Endpoint, party_of
from partners.filter import Filter

_FILTER: Final[TypeAdapter[Filter]] = TypeAdapter(Filter)


def write_tombstone(endpoint: Endpoint) -> str:
    """One line of its types, and one of its filter where it had one."""
    types = " ".join(sorted(endpoint.types))
    return types if endpoint.filter is None else f"{types}\n{_FILTER.dump_json(endpoint.filter).decode()}"


def read_tombstone(endpoint_id: str, owner: str, text: str) -> Endpoint:
    """The endpoint as far as it is known, disabled; of an empty text everything counts as owed to it."""
    types, _, kept = text.partition("\n")
    partner, side = party_of(owner)
    return Endpoint(
        id=endpoint_id,
        partner=partner,
        side=side,
        name="",
        url="",
        types=frozenset(types.split()),
        order="none",
        concurrency=1,
        per_second=None,
        delays=(),
        keys=(),
        state="disabled",
        filter=_FILTER.validate_json(kept) if kept else None,
    )
