"""What `bench.doors` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

_MOST_MS: Final = 250
_MOST_RATIO: Final = 1.1
_WAYS: Final = {
    "key": "an API key",
    "mtls": "a client certificate, on kept connections",
    "signature": "a signature of the request (RFC 9421, Ed25519)",
}


def render_doors(found: Mapping[str, Any]) -> str:
    """Three tables: ways to prove who calls, many more than can be served, a partner far beyond its quota."""
    ways, alone, beside, crowd = found["ways"], found["alone"], found["beside"], found["crowd"]
    key = ways["key"]["cpu_ms"]
    proofs = [
        f"| {words} | {ways[way]['p50_ms']:.1f} | {ways[way]['p99_ms']:.1f} | {ways[way]['cpu_ms']:.3f} |"
        f" {ways[way]['cpu_ms'] - key:+.3f} |"
        for way, words in _WAYS.items()
    ]
    rest = found["beside_to_alone_p50"]
    return "\n".join(
        [
            f"| single POSTs, {found['rate'] / 2:,.0f} a second, proved by | p50 | p99 | CPU ms an event"
            " | beside a key |",
            "|---|---|---|---|---|",
            *proofs,
            "",
            "| offered, a second | taken | answered 503 | p50 of what was taken | p99 | target | peak memory |",
            "|---|---|---|---|---|---|---|",
            f"| {crowd['offered']:,.0f}, four times what it can | {crowd['taken']:,.0f} | {crowd['refused']:.0%} |"
            f" {crowd['p50_ms']:.0f} | {crowd['p99_ms']:.0f} | p99 under 250: {_met(crowd['p99_ms'] < _MOST_MS)} |"
            f" {crowd['peak_mib']:,.0f} MiB |",
            "",
            "| another partner's latency | p50 | p99 | p50 to that alone, median | target |",
            "|---|---|---|---|---|",
            f"| alone | {alone['p50_ms']:.1f} | {alone['p99_ms']:.1f} | | |",
            f"| beside a partner at 100 times its quota ({beside['flood_refused']:.0%} of it answered 429) |"
            f" {beside['p50_ms']:.1f} | {beside['p99_ms']:.1f} | {rest - 1:+.0%} |"
            f" less than 10 % more: {_met(rest < _MOST_RATIO)} |",
        ]
    )


def _met(is_so: bool) -> str:  # noqa: FBT001 - a word for it
    return "met" if is_so else "missed"
