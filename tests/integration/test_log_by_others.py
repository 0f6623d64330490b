"""A log as it is served, read by programs that are not ours: Go's x/mod, by the letter of C2SP."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from audit.tile import FULL_WIDTH, Tile, format_tile_path
from tests.builders import House, open_house
from tests.go_program import build

pytestmark = [pytest.mark.go, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

OLD, NEW = 20, 290
"""Events by the two checkpoints: the second log has more than one tile."""


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built before the gateway runs, which is in our loop: compiling takes its time."""
    return build(Path(__file__).parents[1] / "go" / "outsider.go", tmp_path_factory.mktemp("go"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(outsider: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    del outsider  # only built before
    async with open_house(tmp_path_factory.mktemp("log")) as opened:
        yield opened


async def send(client: httpx.AsyncClient, first: int, end: int) -> list[str]:
    """The events' places in the history, the log having all of them."""
    events = [{"order_id": f"A-{number}", "qty": number} for number in range(first, end)]
    places = []
    for one in events:
        answer = await client.post("/v1/events/order.placed", json=one)
        assert answer.status_code == 201, answer.text
        places.append(answer.headers["location"])
    assert (await client.get(f"{places[-1]}/proof?wait=20")).status_code == 200
    return places


def tiles(size: int) -> Iterator[str]:
    """The path of every tile and bundle of a log of so many entries."""
    level: int | None = None
    count = size
    while count:
        for first in range(0, count, FULL_WIDTH):
            yield format_tile_path(Tile(level, first // FULL_WIDTH, min(FULL_WIDTH, count - first)))
        level, count = (0, size) if level is None else (level + 1, count // FULL_WIDTH)


async def saved(
    client: httpx.AsyncClient, url: str, path: str, folder: Path, name: str = ""
) -> httpx.Response:
    answer = await client.get(f"{url}/{path}")
    assert answer.status_code == 200, (path, answer.text)
    file = folder / (name or path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(answer.content)
    return answer


def read_by(program: Path, folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    run = [str(program), str(folder), key]
    return subprocess.run(run, capture_output=True, text=True, check=False, timeout=60)


async def test_go_reads_the_whole_log_and_every_kind_of_proof(
    house: House, outsider: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    async with house.client("acme") as client:
        await send(client, 0, OLD)
        (log,) = (await client.get("/v1/me")).json()["logs"]
        url = log["url"]
        await saved(client, url, "checkpoint", folder, "checkpoint.old")
        places = await send(client, OLD, NEW)
        answer = await saved(client, url, "checkpoint", folder)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        size = int(answer.text.splitlines()[1])
        assert size > FULL_WIDTH
        for path in tiles(size):
            tile = await saved(client, url, path, folder)
            assert tile.headers["content-type"] == "application/octet-stream"
            assert "immutable" in tile.headers["cache-control"]
        for number in (0, 1, len(places) - 1):
            proof = await client.get(f"{places[number]}/proof")
            (folder / f"{number}.tlog-proof").write_bytes(proof.content)
    said = read_by(outsider, folder, log["keys"][0])
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    assert said.stdout.startswith(f"{size} entries, grown from ")
    assert said.stdout.endswith("3 proofs\n")
    damaged = folder / "tile/0/000"
    damaged.write_bytes(bytes(32) + damaged.read_bytes()[32:])
    assert read_by(outsider, folder, log["keys"][0]).returncode == 1
