"""Imports that are signed, and such as arrive slowly on a real connection."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.ref import parse_ref
from gateway.http.app import make_apps
from gateway.http.framing import StrictProtocol
from gateway.http.server import Server
from gateway.imports.intake import MOST_OF_ONE
from gateway.ingress import claims
from gateway.units import Address
from tests.builders import CONTRACTS, ORIGIN, open_house
from tests.importing import NDJSON, all_results, ended, lines, working
from tests.serving import serving
from tests.signing import Draft, private_key

ORDERS = "/v1/imports?type=order.placed"
SIGNED = (
    CONTRACTS.replace("{slug}", "acme")
    + "authentication: {accept: [api_key, message_signature], require_signature: true}\n"
)


def drafted(body: bytes, nonce: int) -> Draft:
    return Draft(
        authority=ORIGIN.removeprefix("http://"),
        path="/v1/imports",
        query="type=order.placed",
        headers=NDJSON,
        body=body,
        created=int(time.time()),
        parameters=f';nonce="{nonce:032x}"',
    )


async def test_a_signed_import_is_the_origin_of_each_of_its_events(tmp_path: Path) -> None:
    async with open_house(tmp_path, batch_bytes=1_000) as house:
        await house.world.apply(SIGNED)
        key = private_key("ed25519")
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        async with house.client("operator") as operator:
            wanted = {"kind": "public_key", "public_key": pem, "role": "partner"}
            made = (await operator.post("/v1/partners/acme/credentials", json=wanted)).json()
        body = lines(range(3))
        headers = drafted(body, 1).signed(key, made["key_id"])
        async with house.client() as client, house.client("acme") as bare:
            sent = await client.post(ORDERS, content=body, headers=headers)
            assert sent.status_code == 202, sent.text
            replayed = await client.post(ORDERS, content=body, headers=headers)
            other = await client.post(ORDERS, content=lines([9]), headers=headers)
            large = lines(range(100))
            beyond = await client.post(
                ORDERS, content=large, headers=drafted(large, 2).signed(key, made["key_id"])
            )
            unsigned = await bare.post(ORDERS, content=body, headers=NDJSON)
            async with working(house.world.parts.importer):
                done = await ended(bare, sent.headers["location"])
            results = await all_results(bare, sent.headers["location"])
        refs = [parse_ref(one["ref"]) or b"" for one in results]
        held = await house.world.parts.ground.database.read(lambda session: claims.read(session, refs))
    assert (done["state"], done["accepted"]) == ("done", 3)
    origins = {one.origin_signature for one in held.values()}
    assert len(origins) == 1
    assert json.loads(origins.pop() or b"{}")["key_id"] == made["key_id"]
    answers = (replayed, other, beyond, unsigned)
    assert [one.json()["code"] for one in answers] == [
        "signature_replayed",
        "signature_replayed",
        "body_too_large",
        "signature_invalid",
    ]


async def test_a_body_may_take_its_time_as_long_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StrictProtocol, "body_seconds", 1.0)
    async with open_house(tmp_path) as house:
        doors = replace(house.doors, values=replace(house.doors.values, body_seconds=30.0))
        async with serving(Server(make_apps(doors)[0], Address("127.0.0.1", 0))) as port:
            answer = await slowly(port, ORDERS, house.keys["acme"])
    assert answer.startswith(b"HTTP/1.1 202 ")


async def slowly(port: int, path: str, key: str) -> bytes:
    """The answer to a body whose bits come over a second and a half."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode())
        for number in range(6):
            line = lines([number])
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            await asyncio.sleep(0.3)
        writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


async def test_one_partner_that_repeats_its_import_leaves_others_their_places(tmp_path: Path) -> None:
    async with open_house(tmp_path, partners=("acme", "globex")) as house, AsyncExitStack() as stack:
        server = Server(make_apps(house.doors)[0], Address("127.0.0.1", 0))
        port = await stack.enter_async_context(serving(server))
        acme = await stack.enter_async_context(house.client("acme"))
        globex = await stack.enter_async_context(house.client("globex"))
        keyed = {**NDJSON, "Idempotency-Key": "k"}
        first = await acme.post(ORDERS, content=lines([1]), headers=keyed)
        # Slowly: each of them is an import that is known already.
        for count in range(1, MOST_OF_ONE + 1):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(
                f"POST {ORDERS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {house.keys['acme']}\r\n"
                "Content-Type: application/x-ndjson\r\nIdempotency-Key: k\r\n"
                "Content-Length: 1000000000\r\n\r\n{".encode()
            )
            async with asyncio.timeout(30):
                while house.doors.intake.open != count:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
        many = await acme.post(ORDERS, content=lines([1]), headers=keyed)
        other = await globex.post(ORDERS, content=lines([2]), headers=NDJSON)
        async with house.client("operator") as operator:
            path = ORDERS.replace("/v1/", "/v1/partners/acme/").replace("placed", "accepted")
            ours = await operator.post(path, content=lines([3]), headers=NDJSON)
    assert (first.status_code, other.status_code, ours.status_code) == (202, 202, 202)
    assert (many.status_code, many.json()["code"]) == (503, "overloaded")
    assert "of yours" in many.json()["detail"]
    assert not house.doors.intake._of
