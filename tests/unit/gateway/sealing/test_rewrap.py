import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlmodel import Session, col, select

from gateway import keys
from gateway.database import Database
from gateway.errors import MasterKeyError, SealError
from gateway.keys import Opener, create_missing
from gateway.sealing.pepper import keep_pepper, load_pepper
from gateway.sealing.rewrap import count_old, rewrap
from gateway.sealing.rows import SecretRow
from gateway.vault import MasterKey, Vault, amend_master, load_master, make_master, version_of
from partners import store
from partners.access import access_place
from partners.credential import secret_place
from partners.directory import Directory
from partners.endpoint import key_place
from partners.issuing import WantedCredential, create_credential
from partners.minting import Means
from partners.partner import Partner, dedicated_topics
from partners.rows import EndpointRow
from tests.unit.gateway.egress.stage import endpoint


class Entropy:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count)


ENTROPY = Entropy()
ONE, TWO = b"\x01" * 32, b"\x02" * 32
OLD = Vault(MasterKey({1: ONE}), ENTROPY)
KEYS = len(keys.PURPOSES)
SEALED_VALUES = KEYS + 10
"""Signing keys, two secrets of three endpoints each, what those demand, one webhook secret."""


def both() -> Vault:
    return Vault(MasterKey({1: ONE, 2: TWO}), ENTROPY)


def new() -> Vault:
    return Vault(MasterKey({2: TWO}), ENTROPY)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """One of everything that is sealed, under version 1; the pepper is not kept yet."""
    made = Database(database_url)
    with made.begin() as session:
        fill(session)
    yield made
    made.close()


def fill(session: Session) -> None:
    create_missing(session, OLD, now=1, entropy=ENTROPY)
    store.lock(session)
    topics = dedicated_topics("partners.", "acme")
    store.insert_partner(session, Partner("acme", "log", "Acme", topics, "active"), now=1)
    for number in range(3):
        name = f"ep_{number}"
        sealed = tuple(OLD.seal(secret, key_place(name)) for secret in (b"new", b"old"))
        one = endpoint(name, keys=sealed, secrets=())
        store.insert_endpoints(session, [one], now=1)
        store.set_access(session, one, OLD.seal(b"demand", access_place(name)), now=1)
    store.bump_partner(session, "acme")
    means = Means(OLD.pepper(), ENTROPY, OLD.seal)
    create_credential(session, WantedCredential("acme", "partner"), means=means, now=1)
    hook = WantedCredential("acme", "partner", material="webhook_secret")
    create_credential(session, hook, means=means, now=1)


def directory(database: Database) -> Directory:
    with database.begin() as session:
        return store.load(session)


def test_everything_opens_under_the_new_version_alone(database: Database) -> None:
    before = directory(database)
    # The pepper, which was never kept, counts: version 1 has to stay for it.
    assert count_old(database, both()).total == SEALED_VALUES + 1
    done = rewrap(database, both())
    assert dict(done.counts) == {
        "gateway_key.sealed": KEYS,
        "gateway_secret.sealed": 0,
        "partners_endpoint.sealed_keys": 6,
        "partners_endpoint_access.sealed": 3,
        "partners_credential.secret": 1,
    }
    assert count_old(database, both()).total == 0
    after, vault = directory(database), new()
    with database.begin() as session:
        assert len(keys.load(session, Opener(vault)).known) == KEYS
        assert load_pepper(session, vault) == OLD.pepper()
    for one in after.endpoints("acme"):
        assert [vault.open(key, key_place(one.id)) for key in one.keys] == [b"new", b"old"]
        assert one.access is not None
        assert vault.open(one.access, access_place(one.id)) == b"demand"
    (hook,) = after.credentials("hmac")
    assert len(vault.open(hook.secret[1:], secret_place(hook.id))) == 32
    # Readers take it over, and secrets keep the ids that partners know them by.
    assert after.revision > before.revision
    names = [[terms.id for terms in one.secrets] for one in before.endpoints("acme")]
    assert [[terms.id for terms in one.secrets] for one in after.endpoints("acme")] == names


def test_a_second_pass_changes_nothing(database: Database) -> None:
    rewrap(database, both())
    revision = directory(database).revision
    assert rewrap(database, both()).total == 0
    assert directory(database).revision == revision


def test_work_that_broke_off_is_gone_on_with(database: Database) -> None:
    class BrokenOffError(Exception):
        pass

    def told(column: str, _: int) -> None:
        if column.startswith("partners_endpoint.") and count_old(database, both()).total < SEALED_VALUES:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        rewrap(database, both(), told, at_once=1)
    assert 0 < count_old(database, both()).total < SEALED_VALUES
    rewrap(database, both(), at_once=1)
    assert count_old(database, both()).total == 0


def test_what_does_not_open_stops_it_and_loses_nothing(database: Database) -> None:
    stranger = Vault(MasterKey({1: b"\x07" * 32, 2: TWO}), ENTROPY)
    with database.begin() as session:
        keep_pepper(session, OLD)
    with pytest.raises(SealError):
        rewrap(database, stranger)
    assert count_old(database, both()).total == SEALED_VALUES + 1


def test_without_a_kept_pepper_version_1_has_to_stay(database: Database) -> None:
    rewrap(database, both())
    with database.begin() as session:
        session.execute(delete(SecretRow))
    assert count_old(database, both()).counts["gateway_secret.sealed"] == 1
    with database.begin() as session, pytest.raises(SealError, match="version 1"):
        load_pepper(session, new())


def test_terms_of_secrets_that_a_former_program_made_are_written_down(database: Database) -> None:
    rewrap(database, both())
    with database.begin() as session:
        rows = session.exec(select(EndpointRow).order_by(col(EndpointRow.id))).all()
        assert [len(json.loads(row.secret_terms or "[]")) for row in rows] == [2, 2, 2]


def test_a_running_vault_reads_its_file_again_when_it_meets_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    running = Vault(make_master(path, ENTROPY), ENTROPY, lambda: load_master(path))
    amend_master(path, lambda master: master.with_new(TWO))
    assert version_of(running.seal(b"x", "a/b/c")) == 1
    sealed = Vault(load_master(path), ENTROPY).seal(b"secret", "a/b/c")
    assert running.open(sealed, "a/b/c") == b"secret"
    assert version_of(running.seal(b"x", "a/b/c")) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_gone_is_told_of_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    running = Vault(make_master(path, ENTROPY), ENTROPY, lambda: load_master(path))
    sealed = Vault(load_master(path).with_new(TWO), ENTROPY).seal(b"secret", "a/b/c")
    with pytest.raises(SealError, match="version 2"):
        running.open(sealed, "a/b/c")
    path.unlink()
    with pytest.raises(SealError, match="cannot be read"):
        running.open(sealed, "a/b/c")


def test_old_versions_are_taken_out_and_a_draft_of_a_kill_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master(path, ENTROPY)
    amend_master(path, lambda master: master.with_new(TWO))
    amend_master(path, lambda master: master.without_old())
    master = load_master(path)
    assert (master.newest, master.has(1)) == (2, False)
    (tmp_path / "master.key.new").touch()
    with pytest.raises(MasterKeyError, match=r"master\.key\.new exists"):
        amend_master(path, lambda master: master)


def test_of_two_that_add_a_version_at_once_one_is_refused_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master(path, ENTROPY)

    def meanwhile(master: MasterKey) -> MasterKey:
        with pytest.raises(MasterKeyError, match="somebody else"):
            amend_master(path, lambda other: other.with_new(ONE))
        return master.with_new(TWO)

    assert amend_master(path, meanwhile).newest == 2
    assert amend_master(path, lambda master: master.with_new(ONE)).newest == 3


def test_a_change_that_is_refused_leaves_the_file_as_it_is_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master(path, ENTROPY)

    def refuse(_: MasterKey) -> MasterKey:
        raise MasterKeyError("not now")

    with pytest.raises(MasterKeyError, match="not now"):
        amend_master(path, refuse)
    assert amend_master(path, lambda master: master.with_new(TWO)).newest == 2


def test_who_is_stopped_while_amending_leaves_the_way_free(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master(path, ENTROPY)

    def stopped(_master: MasterKey) -> MasterKey:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        amend_master(path, stopped)
    assert amend_master(path, lambda master: master.with_new(TWO)).newest == 2
