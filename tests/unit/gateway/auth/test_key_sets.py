import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.address import AddressPolicy
from gateway.auth.key_sets import ASK_MS, BODY_BYTES, KEEP_MS, RETRY_MS, STALE_MS, KeySets
from gateway.auth.web_keys import WebKey
from gateway.dialler import Dialler, Fetched
from gateway.errors import AwayError
from tests.issuers import DESCRIPTION, KEYS, Issuer, Signer, ec_signer, issuing, key_set, rsa_signer

NOW = 1_800_000_000_000
OLD, NEW = ec_signer("old"), ec_signer("new")


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as made:
        made.has(OLD)
        yield made


@pytest_asyncio.fixture
async def sets() -> AsyncIterator[KeySets]:
    async with Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
        yield KeySets(dialler)


async def found(
    sets: KeySets, issuer: Issuer, signer: Signer | None = OLD, *, now: int = NOW
) -> WebKey | None:
    return await sets.find(issuer.url, None if signer is None else signer.kid, "ES256", now=now)


async def is_away(sets: KeySets, issuer: Issuer, signer: Signer = OLD, *, now: int = NOW) -> bool:
    try:
        await found(sets, issuer, signer, now=now)
    except AwayError as error:
        # Whoever asks is no caller yet: the words name no address.
        return error.code == "issuer_unavailable" and "127.0.0.1" not in str(error)
    return False


async def test_keys_are_fetched_once_and_kept(sets: KeySets, issuer: Issuer) -> None:
    first = await found(sets, issuer)
    assert first is not None
    assert first.is_signed("ES256", b"x", OLD.sign(b"x"))
    assert await found(sets, issuer, now=NOW + KEEP_MS - 1) is first
    assert issuer.asked == [DESCRIPTION, "/keys"]
    assert await found(sets, issuer, now=NOW + KEEP_MS)
    assert issuer.asked == [DESCRIPTION, "/keys"] * 2


async def test_a_new_key_is_found_and_the_old_one_goes_when_the_issuer_says_so(
    sets: KeySets, issuer: Issuer
) -> None:
    assert await found(sets, issuer)
    issuer.has(OLD, NEW)
    assert await found(sets, issuer, NEW, now=NOW + ASK_MS - 1) is None, "not asked again so soon"
    assert await found(sets, issuer, NEW, now=NOW + ASK_MS)
    issuer.has(NEW)
    later = NOW + ASK_MS + KEEP_MS
    assert await found(sets, issuer, OLD, now=later - 1)
    assert await found(sets, issuer, OLD, now=later) is None
    assert await found(sets, issuer, NEW, now=later)


async def test_unknown_keys_cause_one_question_in_half_a_minute(sets: KeySets, issuer: Issuer) -> None:
    for second in range(60):
        assert await found(sets, issuer, ec_signer(f"k{second}"), now=NOW + second * 1_000) is None
    assert issuer.asked.count("/keys") == 2


async def test_the_last_answer_counts_for_an_hour_while_the_issuer_is_away(
    sets: KeySets, issuer: Issuer
) -> None:
    assert await found(sets, issuer)
    issuer.answers = {DESCRIPTION: (500, "", b"")}
    assert await found(sets, issuer, now=NOW + KEEP_MS)
    assert await is_away(sets, issuer, NEW, now=NOW + KEEP_MS), "it may be one of the issuer's by now"
    assert await found(sets, issuer, now=NOW + STALE_MS - 1)
    assert await is_away(sets, issuer, now=NOW + STALE_MS)
    issuer.has(OLD)
    assert await is_away(sets, issuer, now=NOW + STALE_MS + RETRY_MS - 2)
    assert await found(sets, issuer, now=NOW + STALE_MS + RETRY_MS - 1)


async def test_an_issuer_that_is_away_is_not_asked_at_every_request(sets: KeySets, issuer: Issuer) -> None:
    issuer.answers = {DESCRIPTION: (503, "", b"")}
    for step in range(10):
        assert await is_away(sets, issuer, now=NOW + step * RETRY_MS // 10)
    assert len(issuer.asked) == 1


async def test_one_asks_and_all_others_wait_for_that(sets: KeySets, issuer: Issuer) -> None:
    issuer.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(found(sets, issuer)) for _ in range(50)]
        await issuer.is_asked(1)
        issuer.gate.set()
    assert len({id(one.result()) for one in asking}) == 1
    assert issuer.asked == [DESCRIPTION, "/keys"]


async def test_who_has_a_key_does_not_wait_for_the_next_answer(sets: KeySets, issuer: Issuer) -> None:
    first = await found(sets, issuer)
    issuer.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(found(sets, issuer, now=NOW + KEEP_MS))
        await issuer.is_asked(3)
        assert await found(sets, issuer, now=NOW + KEEP_MS) is first
        assert not waiting.done()
        issuer.gate.set()
    assert waiting.result()


async def test_a_clock_that_is_set_back_makes_nobody_wait_for_it(sets: KeySets, issuer: Issuer) -> None:
    assert await found(sets, issuer)
    assert await found(sets, issuer, now=NOW - STALE_MS)
    assert issuer.asked.count("/keys") == 2


async def test_a_key_without_a_name_is_the_only_one_or_none(sets: KeySets, issuer: Issuer) -> None:
    issuer.answers["/keys"] = (200, "", key_set(OLD.jwk(), rsa_signer("r").jwk()))
    assert await found(sets, issuer, None)
    issuer.has(OLD, NEW)
    assert await found(sets, issuer, None, now=NOW + KEEP_MS) is None
    issuer.answers["/keys"] = (200, "", key_set(OLD.jwk(), NEW.jwk(kid="old")))
    assert await found(sets, issuer, OLD, now=NOW + 2 * KEEP_MS) is None, "one name of two keys is none"


async def test_an_issuer_without_a_description_has_its_keys_where_all_have(
    sets: KeySets, issuer: Issuer
) -> None:
    issuer.answers = {KEYS: (200, "", key_set(OLD.jwk()))}
    assert await found(sets, issuer)
    assert issuer.asked == [DESCRIPTION, KEYS]


async def test_a_slash_at_the_end_of_an_issuer_is_part_of_its_name(sets: KeySets, issuer: Issuer) -> None:
    issuer.describes({"issuer": f"{issuer.url}/", "jwks_uri": f"{issuer.url}/keys"})
    assert await is_away(sets, issuer)
    assert await sets.find(f"{issuer.url}/", "old", "ES256", now=NOW)


BAD: dict[str, tuple[int, str, bytes]] = {
    "redirect": (302, "Location: http://127.0.0.1:1/\r\n", b""),
    "permanent redirect": (308, "Location: /keys\r\n", b""),
    "error": (500, "", b"{}"),
    "no JSON": (200, "", b"<html>"),
    "no object": (200, "", b"[]"),
    "huge": (200, "", b" " * (BODY_BYTES + 1)),
    "compressed": (200, "Content-Encoding: gzip\r\n", b"\x1f\x8b"),
    "huge header": (200, f"X-Pad: {'x' * 20_000}\r\n", b"{}"),
}


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
@pytest.mark.parametrize("path", [DESCRIPTION, "/keys"])
async def test_an_answer_that_is_not_as_it_should_be_is_none(
    sets: KeySets, issuer: Issuer, path: str, answer: tuple[int, str, bytes]
) -> None:
    issuer.answers[path] = answer
    assert await is_away(sets, issuer)


def described(issuer: Issuer, keys: object) -> object:
    return {"issuer": issuer.url, "jwks_uri": keys}


@pytest.mark.parametrize(
    "keys",
    ["https://keys.example/", "http://127.0.0.1:1/keys", "//keys.example/k", "file:///etc/passwd", "/keys", 5,
     "", "http://[", "http://127.0.0.1:x/"],
)  # fmt: skip
async def test_keys_at_another_origin_are_not_fetched(sets: KeySets, issuer: Issuer, keys: object) -> None:
    issuer.describes(described(issuer, keys))
    assert await is_away(sets, issuer)
    assert issuer.asked == [DESCRIPTION]


async def test_a_description_of_another_issuer_is_not_believed(sets: KeySets, issuer: Issuer) -> None:
    issuer.describes({"issuer": "https://other.example", "jwks_uri": f"{issuer.url}/keys"})
    assert await is_away(sets, issuer)


class Answering:
    """Answers by URL, without a network."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def fetch(self, url: str, *, most: int) -> Fetched:
        assert most == BODY_BYTES
        self.asked.append(url)
        if url not in self.answers:
            return Fetched(0, "connect_failed", b"")
        return Fetched(200, None, json.dumps(self.answers[url]).encode())


async def test_keys_at_a_host_of_the_settings_are_fetched_over_tls_only() -> None:
    answers: dict[str, object] = {
        "https://keys.example:8443/k": {"keys": [OLD.jwk()]},
        "http://keys.example/k": {"keys": [OLD.jwk()]},
    }
    for url, is_taken in (("https://keys.example:8443/k", True), ("http://keys.example/k", False)):
        fetches = Answering(
            {f"https://id.example{DESCRIPTION}": {"issuer": "https://id.example", "jwks_uri": url}, **answers}
        )
        sets = KeySets(fetches, hosts=["keys.example"])
        if is_taken:
            assert await sets.find("https://id.example", "old", "ES256", now=NOW)
        else:
            with pytest.raises(AwayError):
                await sets.find("https://id.example", "old", "ES256", now=NOW)
        assert len(fetches.asked) == 1 + is_taken


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "http://localhost:{port}", "https://10.0.0.1", "issuer"]
)
async def test_an_issuer_at_an_address_that_is_not_allowed_is_not_asked(issuer: Issuer, url: str) -> None:
    async with Dialler(AddressPolicy(), timeout_ms=60_000) as dialler:
        with pytest.raises(AwayError):
            await KeySets(dialler).find(
                url.format(port=issuer.url.rpartition(":")[2]), "old", "ES256", now=NOW
            )
    assert issuer.asked == []
