"""A gateway with its registry, and what tests ask of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.builders import House, open_house

_NUMBERS = count(1)


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> str:
    """A schema text."""
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **more})


@dataclass
class Asker:
    """A client of the registry, by the name of its key."""

    house: House

    async def ask(self, line: str, body: object = None, *, by: str = "team", **more: Any) -> httpx.Response:
        """Ask for `METHOD /path` below the base path; bytes go out as they are, the rest as JSON."""
        method, path = line.split(" ", 1)
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with self.house.client(by) as client:
            client.headers["Confluent-Accept-Unknown-Properties"] = "true"
            return await client.request(method, f"/registry{path}", content=content, **more)

    async def good(self, line: str, body: object = None, *, by: str = "team") -> Any:
        """The body of an answer that must be 200."""
        answer = await self.ask(line, body, by=by)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, line: str, body: object = None, *, by: str = "team") -> tuple[int, int, str]:
        """Status, error code and message of a refusal, which has nothing else."""
        answer = await self.ask(line, body, by=by)
        document = answer.json()
        assert set(document) == {"error_code", "message"}, answer.text
        return answer.status_code, document["error_code"], document["message"]

    async def register(self, subject: str, schema: str, **more: Any) -> dict[str, Any]:
        """Register a schema."""
        found: dict[str, Any] = await self.good(
            f"POST /subjects/{subject}/versions", {"schema": schema, **more}
        )
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("registry"), partners=("acme", "globex")) as opened:
        yield opened


@pytest.fixture(scope="module")
def asker(house: House) -> Asker:
    return Asker(house)


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"s{next(_NUMBERS)}-value"
