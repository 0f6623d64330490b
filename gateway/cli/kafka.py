"""`gateway kafka config`: what a stock client has to be told to read and to write a partner's events."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from gateway.cli.client import under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit

_SCHEME: Final = "kafka://"
_KEY: Final = "KEY_OF_THE_TEAM"
"""In the place of the API key, which is printed nowhere."""

_PROPERTIES: Final = """\
# For {partner}: read {inbound}, write to {outbound}.
bootstrap.servers={servers}
schema.registry.url={registry}
basic.auth.credentials.source=USER_INFO
basic.auth.user.info={key}:
enable.idempotence=true
acks=all
auto.offset.reset=earliest
"""
_PYTHON: Final = '''\
"""Reads what {partner} sent, from {inbound}; to write to it: SerializingProducer, to {outbound}."""

from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

registry = SchemaRegistryClient({{"url": "{registry}", "basic.auth.user.info": "{key}:"}})
consumer = DeserializingConsumer(
    {{
        "bootstrap.servers": "{servers}",
        "group.id": "{partner}-reader",
        "auto.offset.reset": "earliest",
        "value.deserializer": AvroDeserializer(registry),
    }}
)
consumer.subscribe(["{inbound}"])
while True:
    record = consumer.poll(1.0)
    if record is not None and record.error() is None:
        print(record.offset(), record.value())
'''
_JAVA: Final = """\
// For {partner}: read {inbound}, write to {outbound}.
Properties config = new Properties();
config.put("bootstrap.servers", "{servers}");
config.put("group.id", "{partner}-reader");
config.put("auto.offset.reset", "earliest");
config.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
config.put("value.deserializer", "io.confluent.kafka.serializers.KafkaAvroDeserializer");
config.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
config.put("value.serializer", "io.confluent.kafka.serializers.KafkaAvroSerializer");
config.put("schema.registry.url", "{registry}");
config.put("basic.auth.credentials.source", "USER_INFO");
config.put("basic.auth.user.info", "{key}:");
config.put("enable.idempotence", "true");
"""
_FORMS: Final[Mapping[str, str]] = {"properties": _PROPERTIES, "python": _PYTHON, "java": _JAVA}


def register(app: typer.Typer) -> None:
    """Add the group kafka."""
    group = typer.Typer(help="For teams with a Kafka client.", no_args_is_help=True)
    command(group, "config")(config)
    app.add_typer(group, name="kafka")


def config(
    call: Invocation,
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Whom it is about, such as acme.")],
    *,
    form: Annotated[
        str, typer.Option("--format", metavar="properties|python|java", help="What it is for.")
    ] = "properties",
    servers: Annotated[
        str,
        typer.Option(
            "--servers",
            metavar="HOST:PORT,...",
            help="Where Kafka listens for you; without it, as the settings here have it.",
            show_default=False,
        ),
    ] = "",
) -> Exit | None:
    """Print what a stock client has to be told, for teams; how it logs in is your Kafka's business."""
    if form not in _FORMS:
        raise UsageError(f"--format is {', '.join(_FORMS)}, not {form}")
    place = call.place()
    with call.client() as client:
        topics = client.get(under(partner, "contract")).document().get("topics")
    if topics is None:
        raise UsageError("this is for our own side: a partner sends by HTTPS, and reads its stream")
    text = _FORMS[form].format(
        partner=partner,
        inbound=topics["inbound"],
        outbound=topics["outbound"],
        servers=servers or _servers(call),
        registry=f"{place.url.rstrip('/')}/registry",
        key=_KEY,
    )
    call.output.line(text.rstrip("\n"))
    call.output.note(f"Put a team's API key in the place of {_KEY}.")
    return None


def _servers(call: Invocation) -> str:
    """Kafka's address out of the settings of this machine."""
    from gateway.settings_sources import load  # noqa: PLC0415 - a client needs no settings

    url = load({}, environ=call.around.environ, file=None).settings.broker.url
    if not url.startswith(_SCHEME):
        raise UsageError(
            "the settings here name no Kafka",
            hint="Name it: --servers kafka.example:9092. On the embedded "
            "broker there is none: read with gateway stream, write with gateway send.",
        )
    return url.removeprefix(_SCHEME)
