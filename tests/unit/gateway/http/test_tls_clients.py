"""Clients with certificates on our own TLS, over real connections, with a whole gateway behind."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvloop
from cryptography import x509
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.bootstrap.certificates import Certificates, KnownClients
from gateway.bootstrap.ground import clock
from gateway.http.app import make_apps
from gateway.http.server import Server
from gateway.http.tls import LiveContext, make_dev_certificate, server_context
from gateway.units import Address
from partners import store
from partners.credential import DAY_MS, Credential
from tests.authorities import CLIENT, SERVER, Made, asking, make, uris
from tests.builders import CONTRACTS, House, open_house
from tests.serving import serving
from tests.world import OPERATOR

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = clock()
ROOT = make("root", at=NOW, is_ca=True)
MIDDLE = make("middle", ROOT, at=NOW, is_ca=True)
AGREED = make("agreed", at=NOW, is_ca=True)
STRANGE = make("strange", at=NOW, is_ca=True)
ACCEPTED = CONTRACTS + "authentication: {accept: [api_key, mtls]}\n"


@dataclass
class Door:
    """A house behind TLS, and the certificates of its callers."""

    house: House
    certificates: Certificates
    folder: Path
    port: int
    trust: Path
    count: int = field(default=0)

    def client(self, made: Made | None = None, *sent: Made, key: str | None = None) -> httpx.AsyncClient:
        """A client that shows a certificate, and `sent` beside it."""
        headers = {} if key is None else {"Authorization": f"Bearer {self.house.keys[key]}"}
        context = self.context(made, *sent)
        return httpx.AsyncClient(
            verify=context, headers=headers, base_url=f"https://127.0.0.1:{self.port}", trust_env=False
        )

    def context(self, made: Made | None = None, *sent: Made) -> ssl.SSLContext:
        if made is None:
            return asking(self.trust)
        self.count += 1
        file, key = made.save(self.folder, f"client{self.count}")
        file.write_bytes(b"".join(one.pem for one in (made, *sent)))
        return asking(self.trust, (file, key))

    async def register(self, match: str, secret: bytes, partner: str = "acme") -> Credential:
        """Make a credential as an operator does, and let the listener know."""
        self.count += 1
        made = Credential(
            f"crd_{self.count}", partner, "partner", "mtls", match, secret, frozenset({"send", "audit"}),
            NOW - DAY_MS, NOW + DAY_MS, None, "test",
        )  # fmt: skip
        with self.house.world.parts.ground.database.begin() as session:
            store.lock(session)
            store.insert_credential(session, made, now=NOW)
            store.bump_credential(session, made.id)
            session.commit()
        await self.house.world.parts.catalog.refresh()
        self.certificates.follow()
        return made

    async def pin(self, made: Made, partner: str = "acme") -> Credential:
        return await self.register(made.match, made.der, partner)


async def asked(client: httpx.AsyncClient) -> tuple[int, str]:
    """The status and code of `GET /v1/me`, or nothing where no connection came about."""
    async with client:
        try:
            answer = await client.get("/v1/me")
        except (httpx.TransportError, ssl.SSLError):  # the second: an alert, as anyio hands it on
            return 0, ""
    return answer.status_code, answer.json().get("code", answer.json().get("partner", ""))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = make_dev_certificate(folder, now=NOW, entropy=os.urandom)
    (folder / "agreed.pem").write_bytes(AGREED.pem)
    async with open_house(folder / "data", partners=("acme", "globex")) as house:
        for slug in ("acme", "globex"):
            await house.world.apply(ACCEPTED.replace("{slug}", slug), slug=slug)
        known = KnownClients(lambda: house.world.parts.catalog.current.directory, clock)
        certificates = Certificates(cert, key, client_ca=folder / "agreed.pem", clients=known)
        server = Server(make_apps(house.doors)[1], Address("127.0.0.1", 0), tls=certificates.context)
        async with serving(server) as port:
            made = Door(house, certificates, folder, port, cert)
            await made.register("uri:urn:acme", ROOT.pem)
            await made.register("uri:urn:globex", MIDDLE.pem, "globex")
            yield made


async def test_a_pinned_certificate_is_a_caller_at_once(door: Door) -> None:
    made = make("own", at=NOW, extensions=(CLIENT,))
    assert (await asked(door.client(made)))[0] == 0
    await door.pin(made)
    assert (await asked(door.client(made)))[0] == 200


async def test_a_name_and_its_issuer_are_a_caller(door: Door) -> None:
    direct = make("acme", ROOT, at=NOW, extensions=(uris("urn:acme"), CLIENT))
    below = make("acme", MIDDLE, at=NOW, extensions=(uris("urn:acme"), CLIENT))
    other = make("globex", MIDDLE, at=NOW, extensions=(uris("urn:globex"), CLIENT))
    assert (await asked(door.client(direct)))[0] == 200
    assert (await asked(door.client(below, MIDDLE)))[0] == 200, "the chain of the handshake is used"
    assert (await asked(door.client(other)))[0] == 200


async def test_without_a_certificate_a_key_is_as_good_as_ever(door: Door) -> None:
    assert await asked(door.client()) == (401, "credential_missing")
    assert (await asked(door.client(key="acme")))[0] == 200


@pytest.mark.parametrize(
    "made",
    [
        make("foreign", STRANGE, at=NOW, extensions=(uris("urn:acme"), CLIENT)),
        make("own", at=NOW, extensions=(uris("urn:acme"), CLIENT)),
        make("expired", ROOT, at=NOW, days=(-1, -0.5), extensions=(uris("urn:acme"), CLIENT)),
        make("not yet", ROOT, at=NOW, days=(0.5, 1), extensions=(uris("urn:acme"), CLIENT)),
        make("server", ROOT, at=NOW, extensions=(uris("urn:acme"), SERVER)),
    ],
    ids=["foreign authority", "self-signed", "expired", "not yet valid", "wrong usage"],
)
async def test_what_no_handshake_accepts_gets_no_connection(door: Door, made: Made) -> None:
    assert await asked(door.client(made, key="acme")) == (0, "")


@pytest.mark.parametrize(
    "made",
    [
        make("urn:acme", ROOT, at=NOW, extensions=(CLIENT,)),
        make("no usage", ROOT, at=NOW, extensions=(uris("urn:acme"),)),
        make("of two", MIDDLE, at=NOW, extensions=(uris("urn:acme", "urn:globex"), CLIENT)),
        make("somebody", AGREED, at=NOW, extensions=(uris("urn:acme"), CLIENT)),
    ],
    ids=["common name only", "no usage", "two partners' names", "an authority of the settings"],
)
@pytest.mark.parametrize("key", [None, "acme"])
async def test_what_is_accepted_and_nobodys_is_refused_beside_a_key_too(
    door: Door, made: Made, key: str | None
) -> None:
    assert await asked(door.client(made, MIDDLE, key=key)) == (401, "credential_invalid")


async def test_a_certificate_and_a_key_have_to_be_of_one_partner(door: Door) -> None:
    made = make("acme", ROOT, at=NOW, extensions=(uris("urn:acme"), CLIENT))
    assert (await asked(door.client(made, key="acme")))[0] == 200
    assert await asked(door.client(made, key="globex")) == (401, "credential_invalid")


async def test_a_contract_that_takes_no_certificates_refuses_them(door: Door) -> None:
    made = make("globex", at=NOW)
    await door.pin(made, "globex")
    await door.house.world.apply(CONTRACTS.replace("{slug}", "globex"), slug="globex")
    assert await asked(door.client(made)) == (401, "credential_invalid")
    await door.house.world.apply(ACCEPTED.replace("{slug}", "globex"), slug="globex")
    assert (await asked(door.client(made)))[0] == 200


async def test_a_kept_connection_ends_with_its_credential(door: Door) -> None:
    made = make("leaver", at=NOW)
    credential = await door.pin(made)
    administration = door.house.world.parts.administration
    async with door.client(made) as client:
        first = await client.get("/v1/me")
        await administration.revoke_credential(credential.id, owner=None, reason="leaked", by=OPERATOR)
        last = await client.get("/v1/me")
        assert first.extensions["network_stream"] is last.extensions["network_stream"], "one connection"
    assert (first.status_code, last.status_code, last.json()["code"]) == (200, 401, "credential_revoked")
    assert await asked(door.client(made)) == (401, "credential_revoked"), "who was revoked hears why"


@dataclass
class Spoken:
    """A connection that is over: its session, whether that was one of before, and the answer."""

    version: str | None
    session: ssl.SSLSession | None
    is_resumed: bool | None
    answer: bytes


async def spoken(port: int, context: ssl.SSLContext, before: Spoken | None = None) -> Spoken:
    """One request over a connection of its own, so that a ticket would have come; in a thread."""

    def speak() -> Spoken:
        session = None if before is None else before.session
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        made = context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)
        made.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := made.recv(65_536):
            answer += piece
        with made:
            return Spoken(made.version(), made.session, made.session_reused, answer)

    return await asyncio.get_running_loop().run_in_executor(None, speak)


async def test_no_session_is_resumed(door: Door) -> None:
    made = make("again", at=NOW)
    await door.pin(made)
    context = door.context(made)
    first = await spoken(door.port, context)
    assert first.version == "TLSv1.3"
    assert first.session is None or not first.session.has_ticket
    second = await spoken(door.port, context, first)
    assert not second.is_resumed
    assert b" 200 " in second.answer


async def test_a_session_of_tls_1_2_ends_with_the_agreement_that_it_began_under(door: Door) -> None:
    made = make("old", at=NOW)
    await door.pin(made)
    context = door.context(made)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = await spoken(door.port, context)
    assert first.session is None or not first.session.has_ticket
    await door.pin(make("another", at=NOW))
    second = await spoken(door.port, context, first)
    assert not second.is_resumed
    assert b" 200 " in second.answer


async def test_a_session_of_tls_1_2_that_goes_on_is_judged_as_of_now(door: Door) -> None:
    made = make("old leaver", at=NOW)
    credential = await door.pin(made)
    context = door.context(made)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = await spoken(door.port, context)
    administration = door.house.world.parts.administration
    await administration.revoke_credential(credential.id, owner=None, reason="", by=OPERATOR)
    second = await spoken(door.port, context, first)
    assert b" 200 " in first.answer
    assert b"credential_revoked" in second.answer


async def test_no_client_is_told_whose_certificates_are_accepted(door: Door) -> None:
    asking_tool = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{door.port}", "-tls1_2",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asking_tool.communicate()
    assert b"No client certificate CA names sent" in out
    assert b"Client Certificate Types" in out, "but one is asked for"


async def test_nobody_is_asked_for_a_certificate_where_none_is_known(tmp_path: Path) -> None:
    context = server_context(*make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom))
    assert context.verify_mode == ssl.CERT_NONE
    unreadable = server_context(
        *make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom), clients=(b"junk", ROOT.der)
    )
    assert [one["issuer"] for one in unreadable.get_ca_certs()] == [((("commonName", "root"),),)]


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with how many certificates the client has shown."""
    tls: dict[str, Any] = scope.get("extensions", {}).get("tls", {})
    found = [tls["client_certificate"], *tls["client_chain"]] if tls else []
    names = [x509.load_der_x509_certificate(one).subject.rfc4514_string() for one in found]
    await JSONResponse(names)(scope, receive, send)


async def test_the_application_is_shown_the_certificates_under_uvloop(tmp_path: Path) -> None:
    cert, key = make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    leaf = make("leaf", MIDDLE, at=NOW, extensions=(CLIENT,))
    file, client_key = leaf.save(tmp_path, "leaf")
    file.write_bytes(leaf.pem + MIDDLE.pem)
    live = LiveContext(server_context(cert, key))

    async def run() -> list[list[str]]:
        answers = []
        async with serving(Server(tell, Address("127.0.0.1", 0), tls=live)) as port:
            for clients in ((), (ROOT.der,)):
                live.now = server_context(cert, key, clients)
                for files in (None, (file, client_key)):
                    async with httpx.AsyncClient(verify=asking(cert, files), trust_env=False) as client:
                        answers += [(await client.get(f"https://127.0.0.1:{port}/")).json() for _ in range(2)]
        return answers

    shown = ["CN=leaf", "CN=middle"]
    answered = await asyncio.get_running_loop().run_in_executor(None, lambda: uvloop.run(run()))
    assert answered == [[]] * 6 + [shown] * 2
