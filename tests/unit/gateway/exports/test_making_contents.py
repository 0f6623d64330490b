"""Content beside entries: what is not kept any more takes no room from what is."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from audit.evidence import Evidence
from gateway.database import Database
from gateway.exports.job import Stretch, Wish
from gateway.exports.making import Maker
from gateway.rows import ClaimRow
from tests.made_logs import database_at, grow
from tests.unit.audit.builders import ORIGIN, evidence
from tests.unit.gateway.ingress.claim_rows import claim_row

LENGTH, EVENTS, GONE = 20_000, 12, 6
WISH = Wish("acme", "jsonl", has_content=True, stretches=(Stretch(ORIGIN, 0, EVENTS),))


def body(number: int) -> bytes:
    return b"%d" % number * LENGTH


def accepted(number: int) -> Evidence:
    content = {
        "sha256": hashlib.sha256(body(number)).hexdigest(),
        "length": len(body(number)),
        "type": "application/json",
        "encoding": "identity",
    }
    return evidence(number, content=content)


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """A log of accepted events, of which the first ones have no content any more."""
    opened = database_at(tmp_path, migrated_file)
    with opened.begin() as session:
        grow(session, [accepted(number) for number in range(EVENTS)])
        for number in range(EVENTS):
            row = claim_row(number.to_bytes(32, "big")) | {"partner": "acme"}
            session.execute(insert(ClaimRow), [row | {"content": None if number < GONE else body(number)}])
    yield opened
    opened.close()


async def test_content_that_is_kept_stands_behind_much_that_is_not(database: Database) -> None:
    maker = Maker(database, part_bytes=5 * LENGTH)
    number, first, shown = 0, 0, []
    while first < EVENTS:
        number += 1
        made = await maker.next(WISH, number, 0, first)
        assert await maker.again(WISH, made.part) == made
        shown += [json.loads(line) for line in made.raw.splitlines()]
        first = made.part.end
    assert number > 1
    assert [one["index"] for one in shown if one["content"]] == list(range(GONE, EVENTS))
