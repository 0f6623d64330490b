"""Exports in a world: the role that makes them, and the archive of what is handed out."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from audit.archive import END, head_of, list_members, padding, read_member
from audit.manifest import MANIFEST_NAME, Manifest, parse_manifest
from audit.note import VerifierKey
from audit.papers import Keys
from gateway.exports.worker import Exporter
from tests.world import World

EXPORTS = "/v1/exports"


@asynccontextmanager
async def exporting(role: Exporter) -> AsyncIterator[Exporter]:
    """The role, until the block ends."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(role.run(stop))
        try:
            yield role
        finally:
            stop.set()


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The export at a path, once it has ended."""
    for _ in range(3_000):
        found: dict[str, Any] = (await client.get(path)).json()
        if found["ended_at"] is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def export(
    world: World, client: httpx.AsyncClient, base: str = EXPORTS, **wanted: object
) -> dict[str, Any]:
    """An export of this kind, once it has ended."""
    made = await client.post(base, json=wanted)
    assert made.status_code == 202, made.text
    async with exporting(world.parts.exporting.role):
        return await ended(client, made.headers["location"])


async def fetch(client: httpx.AsyncClient, done: Mapping[str, Any]) -> bytes:
    """The archive of an export, its manifest last."""
    path = done["links"]["self"]
    files: list[bytes] = []
    for number in (*range(1, done["files"]), 0):
        answer = await client.get(f"{path}/files/{number}")
        assert answer.status_code == 200, answer.text
        name = answer.headers["content-disposition"].split('"')[1]
        files.append(head_of(name, len(answer.content)) + answer.content + padding(len(answer.content)))
    return b"".join(files) + END


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    return b"".join(head_of(name, len(raw)) + raw + padding(len(raw)) for name, raw in files.items()) + END


def unpack(archive: bytes) -> dict[str, bytes]:
    """The files of an archive."""
    source = io.BytesIO(archive)
    return {one.name: read_member(source, one) for one in list_members(source)}


def manifest_of(archive: bytes) -> Manifest:
    return parse_manifest(unpack(archive)[MANIFEST_NAME])


def pins(world: World, archive: bytes) -> Keys:
    """The keys of the logs of an export, as who trusts the gateway pins them."""
    public = world.parts.keys.current.public_keys("checkpoint").values()
    origins = {one.origin for one in manifest_of(archive).sections}
    return Keys({}, tuple(VerifierKey(origin, key) for origin in origins for key in public))
