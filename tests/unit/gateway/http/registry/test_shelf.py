import json

import pytest

from tests.unit.gateway.http.registry.conftest import Asker
from tests.world import ORDER

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_subjects_that_only_look_like_a_partners_are_not_the_partners(asker: Asker) -> None:
    # All have the partner's schema too, and names that SQL's LIKE takes for its topics.
    lookalikes = ["Partners.Acme.Inbound-x", "partnersXacme.inbound-x", "partners.acme.inboun_-x", "%-x"]
    order = json.dumps(ORDER)
    for name in lookalikes:
        await asker.register(name.replace("%", "%25"), order)
    own = await asker.good("GET /subjects", by="acme")
    assert own
    assert all(one.startswith(("partners.acme.inbound-", "partners.acme.outbound-")) for one in own)
    newest = await asker.good("GET /subjects/partners.acme.inbound-value/versions/latest", by="acme")
    uses = await asker.good(f"GET /schemas/ids/{newest['id']}/subjects", by="acme")
    assert set(uses) <= set(own)
    assert set(uses).isdisjoint(lookalikes)
    assert set(await asker.good(f"GET /schemas/ids/{newest['id']}/subjects")) >= {*uses, *lookalikes}


@pytest.mark.parametrize(
    ("prefix", "count"),
    [("", 4), ("partners.", 4), ("partners.acme.in", 2), ("partners.acme.inbound-value", 1), ("p%25", 0),
     ("partners.globex", 0), ("PARTNERS.", 0)],
)  # fmt: skip
async def test_a_partner_lists_its_subjects_by_prefix(asker: Asker, prefix: str, count: int) -> None:
    found = await asker.good(f"GET /subjects?subjectPrefix={prefix}", by="acme")
    assert len(found) == count
