"""What an operator is told of the anchor: when all is well nothing, and else what to do."""

from dataclasses import replace

from gateway.anchoring.standing import LATE_ROUNDS, Seen, look, tell, warn
from gateway.anchoring.store import Cosigned, Standing, save_cosigned, save_standings
from gateway.anchoring.witnesses import name_of
from tests.unit.audit.anchors import ANCHOR, WITNESSES, policy
from tests.unit.gateway.anchoring.ledgers import HOST, Ledger, event

NOW = 1_800_000_000_000
WELL = Seen(
    origin=ANCHOR,
    size=9,
    anchored_at=NOW - 1_000,
    enough_at=NOW - 500,
    enough_size=9,
    witnesses={"w1": Standing("k", ANCHOR, 9, NOW, NOW)},
    has_quorum=True,
)


def words(seen: Seen, *, has_key: bool = True) -> str:
    return "; ".join(warn(seen, now=NOW, interval_ms=60_000, has_key=has_key))


def test_when_all_is_well_there_is_nothing_to_see_to() -> None:
    assert words(WELL) == ""
    assert words(replace(WELL, has_quorum=False, enough_at=None)) == ""
    # A new gateway has neither anchored nor been cosigned yet.
    assert words(replace(WELL, anchored_at=None, enough_at=None, size=0)) == ""


def test_what_is_late_is_told() -> None:
    long_ago = NOW - (LATE_ROUNDS + 1) * 60_000
    assert "is `gateway sequence` running?" in words(replace(WELL, anchored_at=long_ago))
    assert "too few witnesses have cosigned it since" in words(replace(WELL, enough_at=long_ago))
    assert "too few witnesses have cosigned it" in words(replace(WELL, enough_at=None))


def test_a_witness_that_did_not_cosign_is_named() -> None:
    troubled = {"w1": Standing("k", problem="timed_out")}
    assert words(replace(WELL, witnesses=troubled)) == "witness w1: timed_out"


def test_a_database_of_before_has_no_key_and_says_how_to_make_one() -> None:
    assert "run `gateway init` once" in words(WELL, has_key=False)


async def test_the_database_is_looked_at(ledger: Ledger) -> None:
    with ledger.database.begin() as session:
        seen = look(session, HOST, None)
    assert (seen.origin, seen.size, seen.anchored_at, seen.witnesses) == (None, 0, None, {})
    ledger.grow(event(1))
    await ledger.hold()
    await ledger.anchor()
    key = name_of(WITNESSES[0].key)
    with ledger.database.begin() as session:
        save_cosigned(session, Cosigned(ANCHOR, 1, "n", "l", is_enough=True, at=1_700_000_000_000))
        save_standings(session, [Standing(key, ANCHOR, 1, 1_700_000_000_000, 1_700_000_000_000)])
        urls = ("https://one.example", "", "https://three.example")
        seen = look(session, HOST, policy(urls=urls))
    told = tell(seen)
    assert told["log"] == ANCHOR
    assert told["cosigned"] == {"size": 1, "at": "2023-11-14T22:13:20.000Z"}
    # Whom nobody can ask is not waited for.
    assert [(one["name"], one["size"]) for one in told["witnesses"]] == [("w1", 1), ("w3", 0)]
