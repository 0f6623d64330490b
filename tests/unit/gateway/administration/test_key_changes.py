from collections.abc import Iterator

import pytest
from sqlalchemy import func, insert, select, update
from sqlmodel import Session, col

from audit.evidence import Evidence, Kind
from audit.log import pending, pending_logs
from audit.note import Signer
from gateway import keys
from gateway.administration import key_changes
from gateway.administration.evidence import Author, Scribe
from gateway.administration.key_changes import Freeze, Held, KeyChange, KeyMaker, Rotation
from gateway.database import Database, clock
from gateway.errors import AwayError, CallerError
from gateway.keys import KeyRing, Opener, PublicKey, SigningKey, create_missing
from gateway.rows import KeyRow
from gateway.vault import MasterKey, Vault
from partners import store
from partners.partner import Partner, PartnerState, dedicated_topics

BY = Author("operator", "crd_1")
HOUR = 3_600_000
PARTNERS: dict[str, PartnerState] = {"acme": "active", "bolt": "suspended", "gone": "closed"}


class Entropy:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count)


ENTROPY = Entropy()
VAULT = Vault(MasterKey({1: bytes(32)}), ENTROPY)
MAKER = KeyMaker(VAULT, ENTROPY)
SCRIBE = Scribe("https://gw.example", "gw.example", "house", ENTROPY)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as opened:
        create_missing(opened, VAULT, now=1000, entropy=ENTROPY)
        for slug, state in PARTNERS.items():
            topics = dedicated_topics("partners.", slug)
            store.insert_partner(opened, Partner(slug, f"log-{slug}", slug, topics, state), now=1)
        yield opened
    database.close()


def ring(session: Session) -> KeyRing:
    return keys.look(session, Opener(VAULT))


def ids(signers: tuple[Signer, ...]) -> list[str]:
    return [one.key_id for one in signers]


def told(session: Session) -> dict[str, list[Evidence]]:
    """What waits for each log, by its random name."""
    return {
        log.rpartition("/")[2]: [one.evidence for one in pending(session, log, 1000)]
        for log in pending_logs(session)
    }


def rotate(session: Session, purpose: keys.Purpose, delay: int = 0, overlap: int = HOUR) -> KeyChange:
    return key_changes.rotate(session, SCRIBE, MAKER, Rotation(purpose, delay, overlap), BY)


def freeze(session: Session, wanted: Freeze) -> KeyChange:
    return key_changes.freeze(session, SCRIBE, MAKER, wanted, BY)


def test_a_new_key_is_published_first_and_signs_later(session: Session) -> None:
    before = ring(session)
    change = rotate(session, "receipt", delay=HOUR)
    after = ring(session)
    assert change.made is not None
    assert after.receipt.key_id == before.receipt.key_id
    assert next(one["kid"] for one in after.jwks()["keys"]) == change.made.id
    assert (change.made.state(after.at), change.others[0].state(after.at)) == ("published", "retiring")
    assert change.others[0].retires_at == change.made.signs_from + HOUR
    assert change.made.signs_from == change.now + HOUR


@pytest.mark.parametrize("purpose", ["checkpoint", "webhook"])
def test_during_the_overlap_both_sign_newest_first(session: Session, purpose: keys.Purpose) -> None:
    (old,) = ring(session).signing(purpose)
    change = rotate(session, purpose)
    assert change.made is not None
    assert ids(ring(session).signing(purpose)) == [change.made.id, old.key_id]


def test_receipts_are_signed_by_the_newest_alone_and_both_are_trusted(session: Session) -> None:
    old = ring(session).receipt
    change = rotate(session, "receipt")
    after = ring(session)
    assert change.made is not None
    assert after.receipt.key_id == change.made.id
    assert set(after.trusted("receipt")) == {change.made.id, old.key_id}


def test_after_the_overlap_the_old_one_signs_no_more_and_that_is_written_once(session: Session) -> None:
    (old,) = ring(session).checkpoints
    change = rotate(session, "checkpoint", overlap=0)
    assert change.made is not None
    assert ids(ring(session).checkpoints) == [change.made.id]
    (ended,) = key_changes.retire_due(session, SCRIBE)
    assert (ended.id, ended.retired_at) == (old.key_id, change.made.signs_from)
    assert key_changes.retire_due(session, SCRIBE) == ()
    retired = [one for one in told(session)["house"] if one.members["action"] == "retired"]
    assert [one.members["by"] for one in retired] == [{"role": "gateway", "credential": None}]
    assert old.key_id in ring(session).public_keys("checkpoint")


def test_each_change_is_told_in_every_log_that_is_open(session: Session) -> None:
    change = rotate(session, "webhook", delay=5_000)
    assert change.made is not None
    logs = told(session)
    assert set(logs) == {"house", "log-acme", "log-bolt"}
    for (one,) in logs.values():
        assert one.kind is Kind.KEY_CHANGED
        said = {name: one.members[name] for name in ("key", "purpose", "action", "signs_from", "ends_at")}
        assert said == {
            "key": change.made.id,
            "purpose": "webhook",
            "action": "created",
            "signs_from": change.now + 5_000,
            "ends_at": None,
        }
        assert one.members["by"] == {"role": "operator", "credential": "crd_1"}


def test_a_second_rotation_waits_for_the_first(session: Session) -> None:
    rotate(session, "receipt", delay=HOUR)
    with pytest.raises(CallerError, match="signs from") as refused:
        rotate(session, "receipt")
    assert refused.value.code == "state_conflict"
    rotate(session, "webhook")


def test_a_rotation_during_an_overlap_leaves_three_signing(session: Session) -> None:
    (first,) = ring(session).checkpoints
    second, third = rotate(session, "checkpoint"), rotate(session, "checkpoint", overlap=2 * HOUR)
    assert second.made is not None
    assert third.made is not None
    assert set(ids(ring(session).checkpoints)) == {third.made.id, second.made.id, first.key_id}
    assert [one.id for one in third.others] == [second.made.id]


def test_a_key_that_does_not_sign_yet_is_withdrawn_and_the_old_one_goes_on(session: Session) -> None:
    old = ring(session).receipt
    change = rotate(session, "receipt", delay=HOUR)
    assert change.made is not None
    withdrawn = key_changes.retire(session, SCRIBE, change.made.id, BY)
    assert [one.state(change.now) for one in withdrawn.others] == ["retired", "signing"]
    after = ring(session)
    assert after.receipt.key_id == old.key_id
    rotate(session, "receipt")


def test_an_overlap_is_ended_at_once(session: Session) -> None:
    (old,) = ring(session).webhooks
    change = rotate(session, "webhook")
    assert change.made is not None
    key_changes.retire(session, SCRIBE, old.key_id, BY)
    assert ids(ring(session).webhooks) == [change.made.id]
    count = len(told(session)["house"])
    again = key_changes.retire(session, SCRIBE, old.key_id, BY)
    assert again.others[0].state(again.now) == "retired"
    assert len(told(session)["house"]) == count


def test_the_only_one_that_signs_is_not_retired(session: Session) -> None:
    with pytest.raises(CallerError, match="rotate first"):
        key_changes.retire(session, SCRIBE, ring(session).receipt.key_id, BY)
    with pytest.raises(CallerError, match="no such key"):
        key_changes.retire(session, SCRIBE, "nobody", BY)


def test_one_that_ends_soon_is_not_left_alone(session: Session) -> None:
    new = rotate(session, "receipt").made
    assert new is not None
    with pytest.raises(CallerError, match="rotate first"):
        key_changes.retire(session, SCRIBE, new.id, BY)


@pytest.mark.parametrize("purpose", keys.PURPOSES)
def test_a_frozen_key_signs_nothing_and_its_successor_at_once(
    session: Session, purpose: keys.Purpose
) -> None:
    old = ids(ring(session).signing(purpose))
    rotate(session, purpose, delay=HOUR)
    change = freeze(session, Freeze(purpose, "copied", since=5_000))
    after = ring(session)
    assert change.made is not None
    assert ids(after.signing(purpose)) == [change.made.id]
    assert len(change.others) == 2
    assert {one.compromised_at for one in change.others} == {5_000}
    assert set(after.trusted(purpose)) == {change.made.id}
    assert set(old) < set(after.public_keys(purpose))
    assert [one.compromised_at for one in after.known if one.id == old[0]] == [5_000]
    actions = [str(one.members["action"]) for one in told(session)["log-acme"]]
    assert sorted(actions) == ["compromised", "compromised", "created", "created"]


@pytest.mark.parametrize("delay", [0, HOUR])
def test_a_key_that_ends_soon_does_not_take_a_frozen_one_s_place(session: Session, delay: int) -> None:
    (old,) = ids(ring(session).signing("receipt"))
    new = rotate(session, "receipt", delay=delay).made
    assert new is not None
    made = freeze(session, Freeze("receipt", "copied", key_id=new.id)).made
    assert made is not None
    assert ids(ring(session).signing("receipt")) == [made.id, old]
    assert made.retires_at is None


def test_the_jwk_set_marks_a_frozen_key(session: Session) -> None:
    freeze(session, Freeze("receipt", "copied", since=7_000))
    whole = ring(session).jwks()
    (marked,) = whole["revoked_keys"]
    assert marked["kid"] not in {one["kid"] for one in whole["keys"]}
    assert marked["revoked"] == {"revoked_at": 7, "reason": "compromised"}
    assert marked["nbf"] == 1
    assert marked["exp"] > 7


def test_a_key_that_has_ended_is_frozen_alone(session: Session) -> None:
    (old,) = ring(session).checkpoints
    rotate(session, "checkpoint", overlap=0)
    key_changes.retire_due(session, SCRIBE)
    change = freeze(session, Freeze("checkpoint", "found", key_id=old.key_id))
    assert (change.made, [one.id for one in change.others]) == (None, [old.key_id])
    assert change.others[0].state(change.now) == "compromised"


def test_a_freeze_can_only_be_made_to_reach_further_back(session: Session) -> None:
    old = ring(session).receipt.key_id
    freeze(session, Freeze("receipt", "copied", since=9_000))
    with pytest.raises(CallerError, match="frozen already"):
        freeze(session, Freeze("receipt", "again", since=9_500, key_id=old))
    change = freeze(session, Freeze("receipt", "earlier", since=8_000, key_id=old))
    assert (change.made, change.others[0].compromised_at) == (None, 8_000)


def test_what_no_key_can_be_frozen_for_is_refused(session: Session) -> None:
    later = clock(session) + HOUR
    for wanted, code in (
        (Freeze("receipt", "x", since=later), "parameter_invalid"),
        (Freeze("receipt", "x", key_id=ring(session).webhooks[0].key_id), "not_found"),
    ):
        with pytest.raises(CallerError) as refused:
            freeze(session, wanted)
        assert refused.value.code == code


def test_a_key_of_a_token_is_kept_without_a_secret_and_not_twice(session: Session) -> None:
    held = Held("cp-2", SigningKey(b"\x09" * 32, "checkpoint").public_key)
    wanted = Rotation("checkpoint", 0, HOUR, held)
    change = key_changes.rotate(session, SCRIBE, MAKER, wanted, BY)
    assert change.made is not None
    (row,) = session.execute(select(KeyRow).where(col(KeyRow.id) == change.made.id)).scalars()
    assert (row.sealed, row.label) == (b"", "cp-2")
    with pytest.raises(CallerError, match="known already"):
        key_changes.rotate(session, SCRIBE, MAKER, wanted, BY)
    newest = ring(session).checkpoints[0]
    assert newest.key_id == change.made.id
    with pytest.raises(AwayError, match=r"keys\.pkcs11"):
        newest.sign(b"note")


def test_where_nobody_signs_receipts_that_is_said(session: Session) -> None:
    session.execute(update(KeyRow).where(col(KeyRow.purpose) == "receipt").values(retired_at=5))
    empty = ring(session)
    with pytest.raises(AwayError) as refused:
        _ = empty.receipt
    assert refused.value.code == "key_unavailable"


def test_keys_for_what_a_newer_program_knows_are_passed_over(session: Session) -> None:
    row = {"id": "x", "purpose": "moon", "sealed": b"", "public_key": bytes(32), "created_at": 1}
    session.execute(insert(KeyRow), [row])
    count = len(keys.PURPOSES)
    assert len(ring(session).known) == count
    assert session.execute(select(func.count()).select_from(KeyRow)).scalar_one() == count + 1


@pytest.mark.parametrize(
    ("values", "now", "state"),
    [
        ({}, 10, "signing"),
        ({"signs_from": 20}, 10, "published"),
        ({"signs_from": 10}, 10, "signing"),
        ({"retires_at": 20}, 10, "retiring"),
        ({"retires_at": 10}, 10, "retired"),
        ({"retired_at": 10}, 5, "retired"),
        ({"retires_at": 20, "compromised_at": 1}, 10, "compromised"),
    ],
)
def test_states(values: dict[str, int], now: int, state: str) -> None:
    key = PublicKey("k", "receipt", bytes(32), 1, **values)  # type: ignore[arg-type]  # numbers alone
    assert key.state(now) == state
    assert key.signs_at(now) == (state in {"signing", "retiring"})
