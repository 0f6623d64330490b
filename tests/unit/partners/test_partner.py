"""Slugs, topics, ids."""

import pytest

from partners.errors import SlugError
from partners.partner import Partner, Topics, dedicated_topics, new_id, verify_slug


@pytest.mark.parametrize("slug", ["a", "7", "acme", "acme-2", "a" * 63, "0-0"])
def test_legal_slugs_are_returned_as_they_are(slug: str) -> None:
    assert verify_slug(slug) == slug


@pytest.mark.parametrize(
    "slug", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "house", "../x", "a\n", "é", "a/b", " a"]
)
def test_illegal_slugs_are_refused_wherever_they_come_from(slug: str) -> None:
    with pytest.raises(SlugError):
        verify_slug(slug)
    with pytest.raises(SlugError):
        dedicated_topics("partners.", slug)
    with pytest.raises(SlugError):
        Partner(slug, "log", "name", Topics("i", 0, "o", 0), "active")


def test_topics_of_a_partner_of_its_own_carry_prefix_and_slug() -> None:
    assert dedicated_topics("partners.", "acme") == Topics(
        "partners.acme.inbound", 0, "partners.acme.outbound", 0
    )


def test_ids_are_made_of_the_chance_they_are_given() -> None:
    assert new_id("ep_", bytes) == "ep_aaaaaaaaaaaaaaaa"
