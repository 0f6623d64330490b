import asyncio
import base64
import json
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from gateway.address import AddressPolicy
from gateway.dialler import Dialler, Fetched, Outgoing
from gateway.egress.access import RETRY_MS, UNSAID_SECONDS, AccessBook
from gateway.egress.lane import Lane
from gateway.egress.posting import Chance, Poster, Secrets
from gateway.errors import SealError
from gateway.vault import MasterKey, Vault
from partners.access import access_place, encode_access, parse_access
from partners.endpoint import Endpoint
from tests.authorities import Made, make
from tests.certificates import certified, private_pem
from tests.hostile.test_receivers import Behaviour, plain, receiver, says
from tests.issuers import issuing
from tests.unit.gateway.egress.stage import SECRET, Receiver, answer, endpoint, now
from tests.unit.gateway.egress.test_lane import delivery

VAULT = Vault(MasterKey({1: b"m" * 32}), os.urandom)
TOKEN = "t0ken"
CLIENT_SECRET = "client-s3cret"
OAUTH = {
    "kind": "oauth2",
    "token_url": "https://login.acme.example/token",
    "client_id": "gate way",
    "client_secret": CLIENT_SECRET + "/&",
}
OUT = Outgoing("https://ep-1.example/in", (("webhook-id", "e"),), b"{}")


def demanding(given: dict[str, Any], name: str = "ep_1", **changes: Any) -> Endpoint:
    access = encode_access(parse_access(given, allow_insecure_loopback=True))
    return endpoint(name, access=VAULT.seal(access, access_place(name)), **changes)


def granted(token: str = TOKEN, **members: object) -> Fetched:
    whole = {"access_token": token, "token_type": "Bearer", "expires_in": 1_000, **members}
    return Fetched(200, None, json.dumps(whole).encode())


@dataclass
class Servers:
    """Token servers: each question gets the next answer, and the last one for ever."""

    answers: list[Fetched] = field(default_factory=lambda: [granted()])
    asked: list[Outgoing] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def ask(self, outgoing: Outgoing, *, most: int) -> Fetched:
        assert most <= 65_536
        self.asked.append(outgoing)
        self.is_asked.set()
        number = len(self.asked)
        await self.gate.wait()
        return self.answers[min(number, len(self.answers)) - 1]


@dataclass
class Clock:
    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


def book(servers: Servers | None = None, clock: Clock | None = None) -> AccessBook:
    return AccessBook(VAULT.open, servers or Servers(), clock or Clock())


def header(outgoing: Outgoing | None, name: str) -> str | None:
    assert outgoing is not None
    return dict(outgoing.headers).get(name)


async def test_an_endpoint_that_demands_nothing_gets_what_it_would_get() -> None:
    dressed = await book().dress(OUT, endpoint())
    assert dressed is not None
    assert (dressed.headers, dressed.tls, dressed.pool) == (OUT.headers, None, "acme")
    ours = await book().dress(OUT, endpoint(side="house"))
    assert ours is not None
    assert ours.pool == "house/acme"


async def test_fields_go_with_the_post_and_never_show() -> None:
    given = {"kind": "headers", "headers": {"Authorization": "Bearer s3cret", "X-Api-Key": "k3y"}}
    dressed = await book().dress(OUT, demanding(given))
    assert dressed is not None
    assert dressed.headers == (*OUT.headers, ("Authorization", "Bearer s3cret"), ("X-Api-Key", "k3y"))
    assert "s3cret" not in repr(dressed)


async def test_a_field_that_is_demanded_takes_the_place_of_one_that_was_chosen() -> None:
    out = Outgoing(OUT.url, (*OUT.headers, ("x-api-key", "open")), OUT.body)
    dressed = await book().dress(out, demanding({"kind": "headers", "headers": {"X-Api-Key": "k3y"}}))
    assert dressed is not None
    assert dressed.headers == (*OUT.headers, ("X-Api-Key", "k3y"))


async def test_a_token_is_fetched_by_the_client_credentials_grant() -> None:
    servers = Servers()
    dressed = await book(servers).dress(OUT, demanding({**OAUTH, "scope": "a b", "audience": "x"}))
    assert header(dressed, "Authorization") == "Bearer t0ken"
    (asked,) = servers.asked
    assert (asked.url, asked.pool) == ("https://login.acme.example/token", "acme")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "audience": ["x"],
    }
    shown = base64.b64decode((header(asked, "Authorization") or "").removeprefix("Basic ")).decode()
    assert shown == "gate+way:client-s3cret%2F%26"


async def test_the_secret_goes_in_the_body_where_that_was_asked_for() -> None:
    servers = Servers()
    await book(servers).dress(OUT, demanding({**OAUTH, "sending": "body"}))
    (asked,) = servers.asked
    assert header(asked, "Authorization") is None
    assert parse_qs(asked.body.decode())["client_secret"] == [CLIENT_SECRET + "/&"]


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    servers, clock = Servers([granted("one"), granted("two")]), Clock()
    used, at = book(servers, clock), demanding(OAUTH)
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer one"
    clock.now += (1_000 - 60) * 1_000 - 1
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer one"
    clock.now += 1
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer two"
    assert len(servers.asked) == 2


@pytest.mark.parametrize(
    ("said", "good_ms"),
    [
        (None, UNSAID_SECONDS * 800),
        ("100", 80_000),
        (10, 8_000),
        (0, 0),
        (-5, 0),
        (10**12, 86_340_000),
        (True, 240_000),
    ],
)
async def test_how_long_a_token_is_good_is_bounded(said: object, good_ms: int) -> None:
    servers, clock = Servers([granted(expires_in=said)]), Clock()
    used, at = book(servers, clock), demanding(OAUTH)
    await used.dress(OUT, at)
    clock.now += max(0, good_ms - 1)
    await used.dress(OUT, at)
    assert len(servers.asked) == (1 if good_ms else 2)
    clock.now += 1
    await used.dress(OUT, at)
    assert len(servers.asked) == (2 if good_ms else 3)


async def test_many_posts_at_once_fetch_one_token() -> None:
    servers = Servers()
    servers.gate.clear()
    used, at = book(servers), demanding(OAUTH)
    async with asyncio.TaskGroup() as group:
        posts = [group.create_task(used.dress(OUT, at)) for _ in range(20)]
        await servers.is_asked.wait()
        servers.gate.set()
    assert {header(post.result(), "Authorization") for post in posts} == {"Bearer t0ken"}
    assert len(servers.asked) == 1


@pytest.mark.parametrize(
    "fetched",
    [
        Fetched(401, "client_error", b""),
        Fetched(0, "timed_out", b""),
        Fetched(0, "address_denied", b""),
        Fetched(200, None, b""),
        Fetched(200, None, b"<html>"),
        Fetched(200, None, b"[]"),
        Fetched(200, None, b"[" * 50_000),
        granted(""),
        granted("a b"),
        granted("a\r\nHost: inner"),
        granted("é"),
        granted("a" * 9_000),
        granted(token_type="mac"),
        granted(token_type=None),
        granted(access_token=1),
    ],
)
async def test_no_token_is_said_once_and_asked_for_again_after_a_while(fetched: Fetched) -> None:
    servers, clock = Servers([fetched, granted()]), Clock()
    used, at = book(servers, clock), demanding(OAUTH)
    with capture_logs() as lines:
        assert [await used.dress(OUT, at) for _ in range(3)] == [None] * 3
        clock.now += RETRY_MS
        assert header(await used.dress(OUT, at), "Authorization") == "Bearer t0ken"
    assert len(servers.asked) == 2
    assert [line["event"] for line in lines] == ["relay.no_token"]
    assert CLIENT_SECRET not in repr(lines)


async def test_a_token_that_the_endpoint_refuses_is_not_shown_again() -> None:
    servers, clock = Servers([granted("one"), granted("two")]), Clock()
    used, at = book(servers, clock), demanding(OAUTH)
    first = await used.dress(OUT, at)
    used.hear(at, first, 503)
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer one"
    clock.now += RETRY_MS
    used.hear(at, first, 401)
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer two"
    used.hear(at, first, 401)  # late: of the token before
    assert header(await used.dress(OUT, at), "Authorization") == "Bearer two"
    assert len(servers.asked) == 2


async def test_an_endpoint_that_refuses_every_token_makes_few_questions() -> None:
    servers, clock = Servers(), Clock()
    used, at = book(servers, clock), demanding(OAUTH)
    begun = clock.now
    while clock.now < begun + 3 * RETRY_MS:
        dressed = await used.dress(OUT, at)
        used.hear(at, dressed, 0 if dressed is None else 401)
        clock.now += RETRY_MS // 50
    assert len(servers.asked) == 3


async def test_another_demand_counts_at_once() -> None:
    servers = Servers([granted("one"), granted("two")])
    used = book(servers)
    await used.dress(OUT, demanding(OAUTH))
    assert header(await used.dress(OUT, demanding({**OAUTH, "scope": "x"})), "Authorization") == "Bearer two"
    assert header(await used.dress(OUT, endpoint()), "Authorization") is None


async def test_what_was_sealed_for_another_endpoint_does_not_open() -> None:
    moved = endpoint("ep_2", access=demanding(OAUTH, "ep_1").access)
    with pytest.raises(SealError):
        await book().dress(OUT, moved)


async def test_what_cannot_be_read_is_not_sent_without() -> None:
    for raw in (
        b"[]",
        b'{"kind":"mtls","demand":{"chain":"s3cret","private_key":"s3cret"},"authorities":""}',
    ):
        broken = endpoint(access=VAULT.seal(raw, access_place("ep_1")))
        with pytest.raises(SealError) as refused:
            await book().dress(OUT, broken)
        assert "s3cret" not in str(refused.value)


async def test_an_attempt_without_token_sends_nothing_and_says_so() -> None:
    posts = Receiver()
    poster = Poster(
        posts,
        Secrets(lambda sealed, place: SECRET if place.endswith("sealed_keys") else VAULT.open(sealed, place)),
        Chance(now, os.urandom),
        disable_after_ms=10**9,
        posted=lambda: None,
    )
    attempt = await poster.post(Lane(demanding(OAUTH)), delivery(1), b"{}")
    assert (attempt.answer.status, attempt.answer.failure) == (0, "endpoint_auth_failed")
    assert posts.seen == []
    posts.reply = lambda _, __: answer(401, "client_error")
    fields = demanding({"kind": "headers", "headers": {"X-Api-Key": "k3y"}})
    attempt = await poster.post(Lane(fields), delivery(1), b"{}")
    assert attempt.answer.status == 401
    assert header(posts.seen[0], "X-Api-Key") == "k3y"
    assert "k3y" not in repr(attempt)


async def test_a_token_comes_through_the_dialler_and_its_rules() -> None:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=30_000) as dialler:
        issuer.answers = {"/token": (200, "", granted().body)}
        used = AccessBook(VAULT.open, dialler, now)
        at = demanding({**OAUTH, "token_url": f"{issuer.url}/token"})
        assert header(await used.dress(OUT, at), "Authorization") == "Bearer t0ken"
        inner = demanding({**OAUTH, "token_url": "https://10.0.0.1/token"}, "ep_2")
        assert await used.dress(OUT, inner) is None
        assert issuer.asked == ["/token"]


# Client certificates, at real servers


@pytest.fixture(scope="module")
def authority() -> Made:
    return make("authority", at=now(), is_ca=True)


def serving(authority: Made, folder: Path) -> ssl.SSLContext:
    """A server's context that takes clients of this authority alone."""
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.load_cert_chain(
        *make("server", authority, at=now(), extensions=(address,)).save(folder, "server")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shown_names(names: list[str]) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = dict(one[0] for one in writer.get_extra_info("peercert")["subject"])
        names.append(subject["commonName"])
        await says(plain("200 OK"))(reader, writer)

    return behave


async def test_a_client_certificate_is_shown_to_its_endpoint_alone(authority: Made, tmp_path: Path) -> None:
    names: list[str] = []
    ours = make("gateway for acme", authority, at=now())
    pem = {
        "certificate": ours.pem.decode(),
        "private_key": private_pem(ours.key),
        "ca": authority.pem.decode(),
    }
    async with (
        receiver(shown_names(names), serving(authority, tmp_path)) as port,
        Dialler(AddressPolicy(loopback=True), timeout_ms=30_000) as dialler,
    ):
        used = AccessBook(VAULT.open, dialler, now)
        out = Outgoing(f"https://127.0.0.1:{port}/", (), b"{}")
        failures = []
        for at in (
            demanding({"kind": "mtls", **pem}),
            demanding({"kind": "none", "ca": authority.pem.decode()}, "ep_2"),
            demanding(
                {
                    "kind": "mtls",
                    **pem,
                    "ca": certified("x", is_authority=True, begins=datetime.now(UTC)).pem,
                },
                "ep_3",
            ),
            endpoint("ep_4"),
            demanding({"kind": "mtls", **pem}),
        ):
            dressed = await used.dress(out, at)
            assert dressed is not None
            failures.append((await dialler.send(dressed)).failure)
    assert failures[0] is None
    assert failures[4] is None
    assert failures[2:4] == ["tls_failed"] * 2  # not an authority that was named, and none of the public ones
    assert failures[1] in {
        "tls_failed",
        "connect_failed",
    }  # TLS 1.3 tells a client late that it must show one
    assert names == ["gateway for acme"] * 2
