"""What a change has to tell its partner, as an event of the gateway's own."""

import json
from collections.abc import Iterable

from gateway.announcements import Announcement
from gateway.operational import CONTRACT_CHANGED
from partners.contract import SECTIONS
from partners.onboarding import ContractChange
from partners.plan import Difference, Sign


def contract_changed(change: ContractChange, *, now: int) -> Announcement | None:
    """That another revision is in force; None of a first one, which nobody could have read about.

    Its id is the revision: told twice it is one event.
    """
    before = change.before_sha256
    if change.partner is None or before is None or change.is_unchanged:
        return None
    slug, revision = change.partner.slug, change.revision
    members = {
        "partner": slug,
        "revision": revision,
        "previous_revision": revision - 1,
        "sha256": change.after_sha256.hex(),
        "previous_sha256": before.hex(),
        "changed_at": now,
        "added": _types(change.differences, "+"),
        "changed": _types(change.differences, "~"),
        "removed": _types(change.differences, "-"),
        "sections": sorted({one.section for one in change.differences} - set(SECTIONS.values())),
    }
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return Announcement(slug, f"{CONTRACT_CHANGED}/{revision}", CONTRACT_CHANGED, text, now)


def _types(differences: Iterable[Difference], sign: Sign) -> list[dict[str, str]]:
    named = SECTIONS.values()
    return [
        {"section": one.section, "type": one.name}
        for one in differences
        if one.sign == sign and one.section in named
    ]
