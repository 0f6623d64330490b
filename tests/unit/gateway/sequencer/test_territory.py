from gateway.catalog import Snapshot
from gateway.leases import Lease, shard_of
from gateway.sequencer.territory import HOUSE, survey
from partners.directory import Account, Directory
from partners.partner import Partner, Topics

SHARDS = 64


def partner(slug: str) -> Partner:
    topics = Topics(f"partners.{slug}.inbound", 0, f"partners.{slug}.outbound", 1)
    return Partner(slug, f"log-{slug}", slug, topics, "active")


def snapshot(*slugs: str, ready: tuple[str, ...] | None = None) -> Snapshot:
    topics = [f"partners.{slug}.{way}" for slug in slugs for way in ("inbound", "outbound")]
    ids = {topic: f"id-{topic}" for topic in (topics if ready is None else ready)}
    return Snapshot(Directory(1, [Account(partner(slug), None, (), ()) for slug in slugs], []), {}, {}, ids)


def lease(slug: str) -> Lease:
    return Lease("sequence", shard_of(slug, SHARDS), 1, 99)


def test_a_lease_covers_both_topics_and_the_log_of_its_partners() -> None:
    found = survey(snapshot("acme", "globex"), [lease("acme")], shards=SHARDS, host="gw", house_log="h")
    assert shard_of("acme", SHARDS) != shard_of("globex", SHARDS)
    assert {place: (plot.partner, plot.direction) for place, plot in found.plots.items()} == {
        ("partners.acme.inbound", 0): ("acme", "inbound"),
        ("partners.acme.outbound", 1): ("acme", "outbound"),
    }
    assert found.logs == {"gw/log/log-acme": lease("acme")}


def test_the_house_has_a_shard_like_a_partner() -> None:
    found = survey(snapshot(), [lease(HOUSE)], shards=SHARDS, host="gw", house_log="h")
    assert not found.plots
    assert found.logs == {"gw/log/h": lease(HOUSE), "gw/log/anchor": lease(HOUSE)}


def test_topics_that_do_not_exist_yet_are_left_for_later() -> None:
    contracts = snapshot("acme", ready=("partners.acme.inbound",))
    found = survey(contracts, [lease("acme")], shards=SHARDS, host="gw", house_log="h")
    assert set(found.plots) == {("partners.acme.inbound", 0)}
    assert found.logs == {"gw/log/log-acme": lease("acme")}


def test_without_leases_nothing_is_ours() -> None:
    found = survey(snapshot("acme"), [], shards=SHARDS, host="gw", house_log="h")
    assert (dict(found.plots), found.logs) == ({}, {})
