"""Bodies that arrive slowly keep nobody else out, and cost memory within a bound."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import OverloadedError
from gateway.http.app import make_apps
from gateway.http.arriving import REQUEST_BYTES, Arriving, Unproved
from gateway.http.crowd import BEGINNING
from gateway.http.server import Server
from gateway.http.shedding import Shed
from gateway.standard_webhooks import parse_secret, sign
from gateway.units import Address
from tests.builders import CONTRACTS, ORIGIN, House, open_house
from tests.serving import serving
from tests.signing import Draft, private_key

PATH = "/v1/events/order.placed"
BODY = b'{"order_id": "A-1", "qty": 1}'
ACME = ("acme", False)


@asynccontextmanager
async def slow(
    port: int, headers: dict[str, str], begin: bytes = BODY[:1], *, path: str = PATH, peer: str = "127.0.0.1"
) -> AsyncIterator["Line"]:
    """A connection from `peer` on which a header and the beginning of a body were sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(peer, 0))
    try:
        lines = [f"POST {path} HTTP/1.1", "Host: gw.example", f"Content-Length: {len(BODY)}"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + begin)
        yield Line(reader, writer)
    finally:
        writer.close()


class Line:
    """The rest of such a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def end(self) -> int:
        """Send what is left of the body; the status."""
        self.writer.write(BODY[1:])
        return int((await self.reader.readline()).split()[1])


def bearing(house: House, slug: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {house.keys[slug]}", "Content-Type": "application/json"}


@asynccontextmanager
async def served(house: House) -> AsyncIterator[int]:
    server = Server(make_apps(house.doors)[0], Address("127.0.0.1", 0), turn_away=Shed(house.doors))
    async with serving(server) as port:
        yield port


async def kept(house: House, owner: object, size: int) -> None:
    """Wait until so much is kept for a sender."""
    async with asyncio.timeout(30):
        while house.doors.arriving.bytes_of(owner) != size:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_slow_bodies_of_one_partner_take_no_place_of_another(tmp_path: Path) -> None:
    async with (
        open_house(tmp_path, partners=("acme", "globex")) as house,
        served(house) as port,
        AsyncExitStack() as stack,
    ):
        opened = [
            await stack.enter_async_context(slow(port, bearing(house, "acme"))) for _ in range(BEGINNING)
        ]
        await kept(house, ACME, BEGINNING * (REQUEST_BYTES + 1))
        crowd = house.doors.crowd
        assert crowd._inside == 0
        crowd._late = 1.0
        async with slow(port, bearing(house, "globex"), begin=BODY[:1]) as other:
            assert await other.end() == 201
        crowd._late = 0.0
        assert await opened[0].end() == 201
        await kept(house, ACME, (BEGINNING - 1) * (REQUEST_BYTES + 1))


async def test_nor_do_those_whose_signature_is_proved_by_their_body(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, served(house) as port:
        signed = CONTRACTS.replace("{slug}", "acme")
        await house.world.apply(signed + "authentication: {accept: [api_key, message_signature]}\n")
        key = private_key("ed25519")
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        wanted = {"kind": "public_key", "public_key": pem, "role": "partner"}
        async with house.client("operator") as operator:
            made = (await operator.post("/v1/partners/acme/credentials", json=wanted)).json()
        authority = ORIGIN.removeprefix("http://")
        draft = Draft(authority=authority, body=BODY, created=int(time.time()))
        async with slow(port, dict(draft.signed(key, made["key_id"]))) as line:
            await kept(house, made["id"], REQUEST_BYTES + 1)
            assert house.doors.arriving.bytes_of(ACME) == 0
            assert house.doors.crowd._inside == 0
            assert await line.end() == 201
        assert house.doors.arriving.bytes_of(made["id"]) == 0


async def test_who_is_turned_away_with_a_whole_body_pays_nothing_for_it(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, served(house) as port, house.client("acme") as client:
        limits = "limits: {events_per_second: 3, bytes_per_day: 1MiB}\n"
        await house.world.apply(CONTRACTS.replace("{slug}", "acme") + limits)
        async with slow(port, bearing(house, "acme")) as line:
            await kept(house, ACME, REQUEST_BYTES + 1)
            with ExitStack() as stack:
                for _ in range(BEGINNING):
                    stack.enter_context(house.doors.crowd.place())
                house.doors.crowd._late = 1.0
                assert await line.end() == 503
                house.doors.crowd._late = 0.0
        left = (await client.get("/v1/me")).json()["limits"]["left"]["bytes"]["left"]
    assert left == 2**20


async def test_a_sender_of_whom_too_much_arrives_hears_it_and_no_other_does(tmp_path: Path) -> None:
    async with open_house(tmp_path, partners=("acme", "globex")) as house:
        house.doors = replace(house.doors, arriving=Arriving(2 * REQUEST_BYTES + 2))
        async with served(house) as port, slow(port, bearing(house, "acme")) as first:
            await kept(house, ACME, REQUEST_BYTES + 1)
            async with slow(port, bearing(house, "acme"), begin=b"") as second:
                await kept(house, ACME, 2 * REQUEST_BYTES + 1)
                async with house.client("acme") as client:
                    third = await client.post(PATH, content=BODY, headers=bearing(house, "acme"))
                # Its body would be too much.
                assert await second.end() == 503
            async with slow(port, bearing(house, "globex")) as other:
                assert await other.end() == 201
            assert await first.end() == 201
        assert (third.status_code, third.json()["code"]) == (503, "overloaded")
        assert "equests of yours" in third.json()["detail"]
        assert third.headers["retry-after"]


async def test_a_stranger_who_names_a_webhook_takes_nothing_from_its_sender(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        contract = CONTRACTS.replace("{slug}", "acme")
        await house.world.apply(contract + "authentication: {accept: [api_key, hmac]}\n")
        house.doors = replace(house.doors, arriving=Arriving(unproved=REQUEST_BYTES + len(BODY)))
        async with house.client("operator") as operator:
            made = await operator.post("/v1/partners/acme/credentials", json={"kind": "webhook_secret"})
        name, secret = made.json()["id"], parse_secret(made.json()["secret"])
        at = int(time.time())
        headers = {"Content-Type": "application/json", "webhook-id": "w1", "webhook-timestamp": str(at)}
        forged = {**headers, "webhook-signature": sign([b"x" * 32], "w1", at, BODY)}
        headers["webhook-signature"] = sign([secret], "w1", at, BODY)
        path = f"{PATH}?credential={name}"
        async with served(house) as port, slow(port, forged, path=path, peer="127.0.0.2"):
            await kept(house, Unproved(name, "127.0.0.2"), REQUEST_BYTES + 1)
            async with slow(port, forged, path=path, peer="127.0.0.2") as another:
                assert await another.end() == 503
            async with slow(port, headers, path=path) as sender:
                assert await sender.end() == 201


def test_who_proved_nothing_is_counted_by_its_place_and_together() -> None:
    assert Unproved.at("a", "2001:db8::1") == Unproved.at("a", "2001:db8::ffff:1") != Unproved.at("a", "::1")
    assert (
        Unproved.at("a", "::ffff:192.0.2.1") == Unproved.at("a", "192.0.2.1") != Unproved.at("a", "192.0.2.2")
    )
    assert Unproved.at("a", "") == Unproved("a", "")
    arriving = Arriving(unproved=REQUEST_BYTES, all_unproved=2 * REQUEST_BYTES)
    with arriving.body(Unproved("a", "one")), arriving.body(Unproved("a", "two")):
        with pytest.raises(OverloadedError, match="webhooks"), arriving.body(Unproved("b", "three")):
            pass
        with arriving.body("a"):
            pass
    with arriving.body(Unproved("b", "three")), pytest.raises(OverloadedError, match="yours"):
        arriving.add(Unproved("b", "three"), 1)
    assert (arriving._kept, arriving._all_unproved) == ({}, 0)


def test_what_is_kept_is_counted_for_each_sender_and_given_back() -> None:
    arriving = Arriving(3 * REQUEST_BYTES)
    with arriving.body("a") as one:
        one.receive(b"x" * 2 * REQUEST_BYTES)
        with pytest.raises(OverloadedError):
            one.receive(b"x")
        with pytest.raises(OverloadedError), arriving.body("a"):
            pass
        with arriving.body("b"):
            assert (arriving.bytes_of("a"), arriving.bytes_of("b")) == (3 * REQUEST_BYTES, REQUEST_BYTES)
    assert (arriving.bytes_of("a"), arriving.bytes_of("b"), arriving._kept) == (0, 0, {})
