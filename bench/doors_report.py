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
    return "\n\n".join([_ways(found), _crowd(found["crowd"]), _flood(found)])


def _ways(found: Mapping[str, Any]) -> str:
    ways = found["ways"]
    key = ways["key"]["cpu_ms"]
    head = (f"single POSTs, {found['rate'] / 2:,.0f} a second, proved by", "p50", "p99", "CPU ms an event")
    rows = [
        (words, *_latency(ways[way]), f"{ways[way]['cpu_ms']:.3f}", f"{ways[way]['cpu_ms'] - key:+.3f}")
        for way, words in _WAYS.items()
    ]
    return _table((*head, "beside a key"), *rows)


def _crowd(crowd: Mapping[str, float]) -> str:
    target = f"p99 under {_MOST_MS}: {_met(crowd['p99_ms'], _MOST_MS)}"
    return _table(
        (
            "offered, a second",
            "taken",
            "answered 503",
            "of what was taken: p50",
            "p99",
            "target",
            "peak memory",
        ),
        (
            f"{crowd['offered']:,.0f}, four times what it can",
            f"{crowd['taken']:,.0f}",
            f"{crowd['refused']:.0%}",
            *_latency(crowd),
            target,
            f"{crowd['peak_mib']:,.0f} MiB",
        ),
    )


def _flood(found: Mapping[str, Any]) -> str:
    beside, rest = found["beside"], found["beside_to_alone_p50"]
    words = f"beside a partner at 100 times its quota ({beside['flood_refused']:.0%} of that answered 429)"
    return _table(
        ("a partner's latency", "p50", "p99", "p50 to that alone", "target"),
        ("alone", *_latency(found["alone"]), "", ""),
        (words, *_latency(beside), f"{rest - 1:+.0%}", f"less than 10 % more: {_met(rest, _MOST_RATIO)}"),
    )


def _latency(seen: Mapping[str, float]) -> tuple[str, str]:
    return f"{seen['p50_ms']:.1f}", f"{seen['p99_ms']:.1f}"


def _met(seen: float, most: float) -> str:
    return "met" if seen < most else "missed"


def _table(head: tuple[str, ...], *rows: tuple[str, ...]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))
