"""A session, and contracts to apply."""

import hashlib
from collections.abc import Callable, Iterator, Mapping

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from partners.contract import SECTIONS, Line
from partners.contract_file import attach_files, read_contract
from partners.onboarding import ContractChange, Means, Submission, apply_contract
from tests.certificates import certified

CONTRACT = """\
gateway: v1
partner: acme
name: Acme
sends:
  order.placed: {schema: order.avsc, id: /id}
receives:
  order.accepted: {schema: accepted.avsc}
endpoints:
  hosts: ["*.acme.example"]
  verification: none
  declared:
    - {name: orders, url: "https://hooks.acme.example/in", events: [order.accepted], rate: 5/s}
    - {name: all, url: "https://hooks.acme.example/all"}
"""

CERTIFICATE = certified().pem


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


@pytest.fixture
def entropy() -> Callable[[int], bytes]:
    count = [0]

    def draw(size: int) -> bytes:
        count[0] += 1
        return hashlib.sha512(str(count[0]).encode()).digest()[:size]

    return draw


@pytest.fixture
def means(entropy: Callable[[int], bytes]) -> Means:
    return Means(entropy, lambda secret, place: place.encode() + b"|" + secret[::-1])


def submission(
    text: str,
    *,
    expected: int | None = None,
    allow_destructive: bool = False,
    schema_id: int = 1,
    files: Mapping[str, str] | None = None,
) -> Submission:
    file = read_contract(text, name="acme.yaml")
    named = file.contract.authentication.certificates
    attached = dict.fromkeys(file.paths(), "{}") | dict.fromkeys(named, CERTIFICATE) | dict(files or {})
    file = attach_files(file, attached)
    lines = tuple(
        Line(terms, f"{SECTIONS[terms.direction]}-{terms.event_type}", (schema_id,))
        for terms in file.contract.terms
    )
    return Submission(file, lines, expected, allow_destructive)


Apply = Callable[..., ContractChange]


@pytest.fixture
def apply(session: Session, means: Means) -> Apply:
    def call(text: str = CONTRACT, *, now: int = 1_000, **wanted: int) -> ContractChange:
        made = submission(
            text,
            expected=wanted.get("expected"),
            allow_destructive=bool(wanted.get("allow_destructive")),
            schema_id=wanted.get("schema_id", 1),
        )
        return apply_contract(session, made, by="crd_operator", now=now, means=means)

    return call
