"""The example of docs/signing.md: it stands there as it is, and the gateway takes what it signs."""

import asyncio
import json
import re
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlmodel import Session

from gateway.bootstrap.ground import clock
from gateway.http.app import make_apps
from gateway.http.server import Server
from gateway.units import Address
from partners import store
from tests.acceptance.running import CONTRACT, ROOT
from tests.builders import House, make_doors
from tests.free_ports import free_port
from tests.signing import credential_of, private_key, public_der
from tests.world import running

EXAMPLE = ROOT / "examples" / "sign_request.py"
TERMS = "authentication: {accept: [message_signature], require_signature: true}\n"


def test_the_document_shows_the_function_that_is_run() -> None:
    text = (ROOT / "docs" / "signing.md").read_text()
    (shown,) = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    program = re.sub(r"  # noqa: .*", "", EXAMPLE.read_text())
    assert shown in program
    assert len(shown.splitlines()) <= 25


async def ran(*words: str, body: bytes) -> tuple[int, str]:
    """Run the example as a program of its own."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLE),
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "", "no_proxy": "*"},
    )
    try:
        out, _ = await asyncio.wait_for(program.communicate(body), 60)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    return program.returncode or 0, out.decode()


async def test_what_the_example_signs_is_taken(tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    key = private_key("ed25519")
    file = tmp_path / "signing.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    async with running(tmp_path / "data", flags={"origin": origin}) as world, asyncio.TaskGroup() as tasks:
        await world.apply(CONTRACT + TERMS)
        signer = credential_of("crd_example", "message_signature", public_der(key))

        def insert(session: Session) -> None:
            store.lock(session)
            store.insert_credential(session, signer, now=clock())
            store.bump_credential(session, signer.id)

        await world.parts.ground.database.write(insert)
        await world.parts.catalog.refresh()
        house = House(world, make_doors(world))
        server = Server(make_apps(house.doors)[1], Address("127.0.0.1", port))
        await server.listen()
        stop = asyncio.Event()
        tasks.create_task(server.run(stop))
        try:
            given = ("--key", str(file), "--keyid", "crd_example")
            order = json.dumps({"order_id": "EX-1", "qty": 1}).encode()
            code, said = await ran(*given, f"{origin}/v1/events/order.placed", body=order)
            assert code == 0, said
            code, found = await ran(*given, f"{origin}{json.loads(said)['links']['self']}", body=b"")
            assert code == 0, found
            assert json.loads(found)["origin"]["key_id"] == "crd_example"
            code, said = await ran(*given[:3], "crd_other", f"{origin}/v1/me", body=b"")
            assert (code, json.loads(said)["code"]) == (1, "credential_invalid")
        finally:
            stop.set()
