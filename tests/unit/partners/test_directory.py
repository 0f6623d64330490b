"""The index of everything."""

from dataclasses import replace

from partners.contract import IdRule, Line, Terms
from partners.directory import Account, Directory
from partners.endpoint import Endpoint
from partners.partner import Partner, dedicated_topics
from tests.unit.partners.test_credential import KEY

ACME = Partner("acme", "log1", "Acme", dedicated_topics("partners.", "acme"), "active")
TERMS = Terms("order.placed", "inbound", "a.avsc", IdRule(), None, None, (), "plain", "BACKWARD", 2, None)
LINE = Line(TERMS, "partners.acme.inbound-x.Order", (4, 3))
HOOK = Endpoint("ep_1", "acme", "hook", "https://a.example", frozenset(), "none", 8, None, (0,), (), "active")


def directory() -> Directory:
    globex = replace(ACME, slug="globex", log="log2")
    accounts = [Account(globex, None, (), ()), Account(ACME, None, (LINE,), (HOOK,))]
    return Directory(7, accounts, [KEY])


def test_what_was_loaded_is_found() -> None:
    found = directory()
    assert found.revision == 7
    assert found.partner("acme") == ACME
    assert [partner.slug for partner in found.partners()] == ["acme", "globex"]
    assert found.credential("api_key", "abc") is KEY
    assert found.lines("acme") == (LINE,)
    assert found.endpoints("acme") == (HOOK,)
    assert found.contract("acme") is None


def test_what_is_unknown_or_anothers_is_not_found() -> None:
    found = directory()
    assert found.partner("initech") is None
    assert found.credential("mtls", "abc") is None
    assert found.lines("initech") == ()
    assert found.endpoints("globex") == ()
    assert found.contract("initech") is None


def test_what_did_not_change_is_the_same_afterwards() -> None:
    found = directory()
    closed = Account(replace(ACME, slug="globex", log="log2", state="closed"), None, (), ())
    initech = Account(replace(ACME, slug="initech", log="log3"), None, (), ())
    revoked = replace(KEY, revoked_at=5)
    later = found.after(8, [initech, closed], [revoked])
    assert (found.revision, later.revision) == (7, 8)
    assert later.account("acme") is found.account("acme") is not None
    assert later.account("globex") is closed
    assert [one.slug for one in later.partners()] == ["acme", "globex", "initech"]
    assert later.credential("api_key", "abc") is revoked
    assert found.credential("api_key", "abc") is KEY
    assert found.account("initech") is None
