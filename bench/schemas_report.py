"""What `bench.schemas` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

_WORK: Final = (
    ("json to checked avro", "a JSON text, validated and encoded"),
    ("decoded to checked avro", "the same, from what the JSON parser made of it"),
    ("avro checked", "an Avro datum from outside, all of it checked"),
    ("avro to json", "an Avro datum to the JSON of a webhook"),
    ("all faults of a bad event", "a JSON text with three faults, each told with its pointer"),
    ("json to checked avro, reference", "a JSON text, by the reference"),
    ("avro checked, reference", "an Avro datum checked, by the reference"),
    ("avro to json, reference", "an Avro datum to JSON, by the reference"),
    ("fastavro validate and write", "`fastavro.validate` and `schemaless_writer`, on decoded data"),
    ("json, conversion, fastavro validate and write", "the same behind a JSON parser and a conversion"),
    ("fastavro read", "`fastavro.schemaless_reader`, which checks little"),
)
_JSON: Final = "fastavro validate and write / json to checked avro"
_AVRO: Final = "fastavro read / avro checked"


def render_validation(found: Mapping[str, Any]) -> str:
    """Two tables: microseconds an event, and what they come to beside the targets."""
    micros, ratios = found["events"]["micros"], found["events"]["ratios"]
    memory = found["memory"]
    compiled, faults = sum(found["compile_ms"].values()), micros["all faults of a bad event"] / 1_000
    codecs = f"{memory['codecs']:,} codecs, {memory['used']:,} of them used both ways"
    mib = memory["busy"] / 2**20
    rows = [
        _least("JSON to Avro, beside fastavro", ratios[_JSON], 4, "times as fast"),
        _least("Avro checked, beside fastavro's reading", ratios[_AVRO], 1, "times as fast"),
        _most("compiling all that a schema has", compiled, 10, "ms"),
        _most("all faults of a bad event", faults, 1, "ms"),
        _most(codecs, mib, 1_430, "MiB in the process"),
    ]
    lines = ["| what | seen | target |", "|---|---|---|", *rows, "", "| an event | us of CPU |", "|---|---|"]
    return "\n".join([*lines, *(f"| {words} | {micros[name]:,.0f} |" for name, words in _WORK)])


def _least(what: str, seen: float, wanted: float, unit: str) -> str:
    return f"| {what} | {seen:.1f} {unit} | at least {wanted}: {'met' if seen >= wanted else 'missed'} |"


def _most(what: str, seen: float, wanted: float, unit: str) -> str:
    return f"| {what} | {seen:,.1f} {unit} | at most {wanted:,}: {'met' if seen <= wanted else 'missed'} |"
