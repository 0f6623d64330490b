"""A plan on a real Kafka: what is recorded is tried, and a broker that does not answer holds up no plan."""

import json
from pathlib import Path

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from tests.contract.broker_stands import fresh_name
from tests.integration.test_gateway_on_kafka import accepted_in_time, all_accepted, on_kafka
from tests.kafka_server import KafkaServer
from tests.world import CONTRACT, OPERATOR, ORDER, World

pytestmark = pytest.mark.kafka

STRICT = CONTRACT.replace("key: /customer}", "key: /customer, accept_versions: 1}")
NARROW = {**ORDER, "fields": [one for one in ORDER["fields"] if one["name"] != "qty"]}


async def plan(world: World) -> ContractOutcome:
    sent = ContractText(STRICT, "acme.yaml", {"order.avsc": json.dumps(NARROW)})
    return await world.parts.administration.put_contract("acme", sent, Wish(dry_run=True), by=OPERATOR)


async def test_recorded_events_are_tried_and_a_silent_broker_is_told(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    async with on_kafka(kafka_server, tmp_path, fresh_name()) as world:
        await world.apply()
        await accepted_in_time(world, 0)
        await all_accepted(world, *range(1, 20))
        found = await plan(world)
        while any(one.reason for one in found.recorded):
            # A plan waits some seconds for Kafka, and says so where that was not enough.
            found = await plan(world)
        sends, receives = found.recorded
        kafka_server.pause()
        try:
            silent = await plan(world)
        finally:
            kafka_server.resume()
    assert (sends.checked, sends.refused, sends.reason) == (20, 20, "")
    assert [(one.pointer, one.code, one.events) for one in sends.faults] == [("/qty", "unknown_field", 20)]
    assert (receives.checked, receives.reason) == (0, "")
    assert all(one.reason for one in silent.recorded)
    assert silent.changed
    assert "? sends order.placed  recorded events could not be looked at: " in silent.plan
