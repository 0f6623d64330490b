"""Names that nobody answers for hold up whoever asked for them, and nobody else."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from gateway import connections
from gateway.address import AddressPolicy
from gateway.connections import _MOST_LOOKUPS, _Lookups, _Threads
from gateway.dialler import Dialler, Outgoing


class System:
    """Answers for names, but for those that are dead: these it keeps, until the test ends."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []

    def addresses(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.over.wait()
        return ["192.0.2.1"]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    made = System()
    monkeypatch.setattr(connections, "_addresses", made.addresses)
    yield made
    made.over.set()


async def test_dead_names_of_one_hold_up_no_other(system: System) -> None:
    threads = _Threads()
    one, other = _Lookups(threads), _Lookups(threads)
    # More than there are threads.
    dead = [asyncio.create_task(one.of(f"dead-{number}", 443)) for number in range(100)]
    await asyncio.sleep(0)
    assert await other.of("alive", 443) == ["192.0.2.1"]
    for task in dead:
        task.cancel()
    await asyncio.wait(dead)
    # Who gives up has not stopped the system: the next of the same pool wait for it.
    late = asyncio.create_task(one.of("alive too", 443))
    assert await other.of("alive again", 443) == ["192.0.2.1"]
    assert sum(name.startswith("dead") for name in system.asked) == _MOST_LOOKUPS
    assert "alive too" not in system.asked
    system.over.set()
    assert await late == ["192.0.2.1"]
    threads.close()


async def test_dead_names_of_some_issuers_hold_up_no_other_and_no_endpoint(system: System) -> None:
    async with Dialler(AddressPolicy(), timeout_ms=200) as dialler:
        dead = [dialler.fetch(f"https://dead-{number}.example/", most=10) for number in range(20)]
        dead += [dialler.fetch(f"https://dead.example/{number}", most=10) for number in range(20)]
        assert {one.failure for one in await asyncio.gather(*dead)} == {"timed_out"}
        # What is found is no address that may be dialled: but it was found.
        assert (await dialler.fetch("https://alive.example/", most=10)).failure == "address_denied"
        mine = [
            Outgoing(f"https://{name}.example/", (), b"", "acme") for name in ("dead-a", "dead-b", "alive")
        ]
        answers = await asyncio.gather(*map(dialler.send, mine))
    assert [one.failure for one in answers] == ["timed_out", "timed_out", "address_denied"]
    assert system.asked.count("dead.example") == 1


async def test_a_name_without_an_address_is_told_to_whoever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    monkeypatch.setattr(connections, "_addresses", none)
    threads = _Threads()
    lookups = _Lookups(threads)
    for _ in range(5):  # its place is free again each time
        with pytest.raises(OSError, match="no such name"):
            await lookups.of("nowhere", 443)
    threads.close()
