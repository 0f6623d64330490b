"""What is left of an endpoint that is no more: enough to tell which events it was owed."""

from typing import Final

from pydantic import TypeAdapter

from partners.endpoint import Endpoint, party_of
from partners.filter import Filter

_FILTER: Final[TypeAdapter[Filter]] = TypeAdapter(Filter)


def write_tombstone(endpoint: Endpoint) -> str:
    """One line of its types, one of its filter, and one of its owner if that is the house.

    Lines at the end that say nothing are left out.
    """
    kept = "" if endpoint.filter is None else _FILTER.dump_json(endpoint.filter).decode()
    owner = endpoint.owner if endpoint.side == "house" else ""
    return "\n".join((" ".join(sorted(endpoint.types)), kept, owner)).rstrip("\n")


def read_tombstone(endpoint_id: str, owner: str, text: str) -> Endpoint:
    """The endpoint as far as it is known, disabled; of an empty text everything counts as owed to it.

    `owner`: whose it is, where the text does not say it.
    """
    types, kept, said, *_ = (*text.split("\n"), "", "")
    partner, side = party_of(said or owner)
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
