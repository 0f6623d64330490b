from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import delete, update
from sqlmodel import Session

from audit import erasure
from audit import log as audit_log
from audit.evidence import Evidence, Kind, make_evidence
from gateway.broker.port import Position, Read
from gateway.database import Database
from gateway.errors import LeaseLostError, PositionMovedError
from gateway.ingress.claims import Claim, Confirm, read, take, write_group
from gateway.ingress.prepare import Circumstances, Prepared, make_record, prepare
from gateway.leases import Lease, Leases
from gateway.positions import Move, Progress, load
from gateway.record import RECEIPT_HEADER
from gateway.rows import ClaimRow
from gateway.sequencer import round as rounds
from gateway.sequencer.round import Round, Written, write_round
from gateway.sequencer.sighting import Sighting, sight
from tests.unit.audit.builders import OTHER_SIGNER, members_of
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

LOG = "gw.example/log/k3v9q2"
ORIGINS = {LOG: f"{LOG}/1"}
ON = channel([{"name": "id", "type": "string"}])
AT = circumstances()
OURS = {AT.signer.key_id: AT.signer.public_key}


def sighted(event_id: str = "A", offset: int = 0, at: Circumstances = AT) -> tuple[Claim, Sighting]:
    """An accepted event, and its record as the sequencer sees it."""
    found = prepare(draft({"id": event_id}), ON, at)
    assert isinstance(found, Prepared)
    record = make_record(found.claim, found.version, at.origin)
    seen = sight(Read(Position("topic-1", 0, offset), record, 5), partner="acme", direction="inbound")
    assert isinstance(seen, Sighting)
    return found.claim, seen


def change(salt: int) -> Evidence:
    members = members_of("contract.changed")
    return make_evidence(
        Kind.CONTRACT_CHANGED, members, iss=AT.origin, log=LOG, at=AT.now, salt=bytes([salt]) * 32
    )


@dataclass
class Ledger:
    session: Session
    lease: Lease

    def write(
        self,
        *sightings: Sighting,
        evidence: Sequence[Evidence] = (),
        moves: Sequence[Move] = (),
        origins: Mapping[str, str] = ORIGINS,
    ) -> Written:
        return write_round(
            self.session,
            Round(
                [(self.lease, moves)], sightings, evidence, origins, OURS, dict.fromkeys(origins, self.lease)
            ),
        )

    def claim(self, *claims: Claim) -> None:
        take(self.session, claims, AT.now, 15_000)

    def entries(self) -> list[Kind]:
        size = audit_log.open_log(self.session, ORIGINS[LOG]).size
        return [audit_log.entry(self.session, ORIGINS[LOG], index).kind for index in range(size)]


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    database = Database(database_url)
    leases = Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000)
    (lease,) = await leases.hold()
    with database.begin() as session:
        yield Ledger(session, lease)
    database.close()


async def test_a_sighting_becomes_an_entry_and_confirms_its_claim(ledger: Ledger) -> None:
    claim, seen = sighted(offset=7)
    ledger.claim(claim)
    written = ledger.write(seen)
    assert (written.entries, set(written.heads)) == (1, {ORIGINS[LOG]})
    found = read(ledger.session, [claim.ref])[claim.ref]
    assert (found.state, found.datum, found.position) == ("confirmed", None, Position("topic-1", 0, 7))


async def test_the_first_copy_of_an_event_wins(ledger: Ledger) -> None:
    claim, first = sighted(offset=3)
    _, second = sighted(offset=4)
    ledger.claim(claim)
    written = ledger.write(first, second)
    again = ledger.write(sighted(offset=5)[1])
    assert (written.entries, written.repeats, again.entries, again.repeats) == (1, 1, 0, 1)
    found = read(ledger.session, [claim.ref])[claim.ref]
    assert found.position == Position("topic-1", 0, 3)


async def test_what_ingress_confirmed_is_sequenced_once_too(ledger: Ledger) -> None:
    claim, seen = sighted(offset=3)
    ledger.claim(claim)
    write_group(15_000)(ledger.session, [Confirm(((claim.ref, claim.receipt, seen.read.position),))])
    assert ledger.write(seen).entries == 1
    assert ledger.write(seen).repeats == 1


async def test_without_a_claim_our_signature_counts(ledger: Ledger) -> None:
    _, seen = sighted()
    assert ledger.write(seen).entries == 1
    assert ledger.write(seen).repeats == 1
    _, forged = sighted("B", at=replace(AT, signer=OTHER_SIGNER))
    written = ledger.write(forged)
    assert (written.entries, [one.reason for one in written.suspects]) == (0, ["receipt_invalid"])


async def test_evidence_that_was_erased_does_not_come_back_from_a_topic_that_is_read_again(
    ledger: Ledger,
) -> None:
    claim, seen = sighted()
    ledger.claim(claim)
    assert ledger.write(seen).entries == 1
    gone = erasure.standing(ledger.session, [claim.ref])
    erasure.erase(ledger.session, gone, at=1, erasure="ers_1", basis="case 17")
    ledger.session.execute(delete(ClaimRow))
    written = ledger.write(seen)
    assert (written.entries, written.repeats) == (0, 1)
    assert erasure.standing(ledger.session, [claim.ref]) == []


async def test_an_empty_receipt_is_none_though_the_claim_of_an_erased_event_holds_none_either(
    ledger: Ledger,
) -> None:
    claim, seen = sighted()
    ledger.claim(claim)
    assert ledger.write(seen).entries == 1
    ledger.session.execute(update(ClaimRow).values(receipt="", state="erased"))
    record = seen.read.record
    headers = (
        *((name, raw) for name, raw in record.headers if name != RECEIPT_HEADER),
        (RECEIPT_HEADER, b""),
    )
    read_again = Read(Position("topic-1", 0, 1), replace(record, headers=headers), 6)
    foreign = sight(read_again, partner="acme", direction="inbound")
    assert isinstance(foreign, Sighting)
    written = ledger.write(foreign)
    assert (written.entries, [one.reason for one in written.suspects]) == (0, ["receipt_malformed"])


async def test_a_receipt_beside_another_claims_is_suspect_even_if_we_signed_it(ledger: Ledger) -> None:
    claim, _ = sighted()
    ledger.claim(claim)
    _, other = sighted(at=replace(AT, entropy=lambda count: b"\x07" * count))
    written = ledger.write(other)
    assert (written.entries, [one.reason for one in written.suspects]) == (0, ["receipt_invalid"])


async def test_a_log_that_is_not_ours_is_not_written(ledger: Ledger) -> None:
    _, seen = sighted()
    written = ledger.write(seen, origins={})
    assert [one.reason for one in written.suspects] == ["log_unknown"]


async def test_pending_evidence_is_entered_once_behind_what_was_read(ledger: Ledger) -> None:
    claim, seen = sighted()
    ledger.claim(claim)
    audit_log.submit(ledger.session, change(1), id=b"1" * 16)
    assert ledger.write(seen, evidence=[change(2)]).entries == 3
    assert ledger.entries() == [Kind.ACCEPTED, Kind.CONTRACT_CHANGED, Kind.CONTRACT_CHANGED]
    assert audit_log.pending_logs(ledger.session) == ()
    assert ledger.write().entries == 0


async def test_a_round_takes_no_more_of_what_waits_than_a_transaction_can_enter(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "PENDING_IN_ALL", 3)
    names = ["gw.example/log/aaaaaa", "gw.example/log/bbbbbb"]
    origins = {name: f"{name}/1" for name in names}
    for place, (name, at) in enumerate([*((names[0], AT.now + 1),) * 2, *((names[1], AT.now),) * 2]):
        one = make_evidence(
            Kind.CONTRACT_CHANGED,
            members_of("contract.changed"),
            iss=AT.origin,
            log=name,
            at=at,
            salt=bytes(32),
        )
        audit_log.submit(ledger.session, one, id=bytes([place]) * 16)
    assert ledger.write(origins=origins).entries == 3
    sizes = [audit_log.open_log(ledger.session, origins[name]).size for name in names]
    assert sizes == [1, 2]  # what waits for longest goes first
    assert [ledger.write(origins=origins).entries for _ in range(2)] == [1, 0]


async def test_evidence_of_other_logs_waits(ledger: Ledger) -> None:
    audit_log.submit(ledger.session, change(1), id=b"1" * 16)
    assert ledger.write(origins={}).entries == 0
    assert audit_log.pending_logs(ledger.session) == (LOG,)


async def test_what_waits_is_entered_under_the_lease_of_its_log_alone(ledger: Ledger) -> None:
    audit_log.submit(ledger.session, change(1), id=b"1" * 16)
    lost = replace(ledger.lease, epoch=ledger.lease.epoch + 1)
    nothing_new = Round([], [], [], ORIGINS, OURS, {LOG: lost})
    with pytest.raises(LeaseLostError):
        write_round(ledger.session, nothing_new)
    assert audit_log.pending_logs(ledger.session) == (LOG,)
    assert write_round(ledger.session, replace(nothing_new, leases={LOG: ledger.lease})).entries == 1


async def test_a_lost_lease_or_a_moved_position_writes_nothing(ledger: Ledger) -> None:
    _, seen = sighted()
    step = Move("partners.acme.inbound", "topic-1", 0, None, Progress(1))
    ledger.write(seen, moves=[step])
    assert load(ledger.session, "sequence", "topic-1", 0) == Progress(1)
    _, next_ = sighted("B", offset=1)
    with pytest.raises(PositionMovedError):
        ledger.write(next_, moves=[step])
    ledger.lease = replace(ledger.lease, epoch=ledger.lease.epoch + 1)
    with pytest.raises(LeaseLostError):
        ledger.write(next_)
    assert ledger.entries() == [Kind.ACCEPTED]
