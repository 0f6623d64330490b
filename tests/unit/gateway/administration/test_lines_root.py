"""A schema that is no record can be registered, but no contract may name it for an event."""

import json
from pathlib import Path

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.errors import CallerError
from tests.world import OPERATOR, running

CONTRACT = "gateway: v1\npartner: acme\nname: Acme\nsends:\n  price.set: {schema: price.avsc, id: /id}\n"


async def test_a_contract_wants_records(tmp_path: Path) -> None:
    schema = json.dumps({"type": "array", "items": "int"})
    sent = ContractText(CONTRACT, "acme.yaml", {"price.avsc": schema})
    async with running(tmp_path) as world:
        with pytest.raises(CallerError) as caught:
            await world.parts.administration.put_contract("acme", sent, Wish(dry_run=True), by=OPERATOR)
    said = json.dumps(caught.value.members)
    assert '"file": "price.avsc", "line": 1, "pointer": "", "code": "shape"' in said
    assert "must be a record at the top" in said
