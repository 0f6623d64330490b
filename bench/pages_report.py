"""What `bench.pages` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

from bench.figures import verdict

_MOST_PROOF_MS: Final = 5
_MOST_RATIO: Final = 1.5
_SMALL_MS: Final = 1.0
"""A page that costs so little more is as good as the same."""
_ASIDE: Final = frozenset({"filled in seconds"})


def render_pages(found: Mapping[str, Any]) -> str:
    """One table: each question in a small log and in a large one, on both databases."""
    grounds = [name for name in found if name != "times"]
    sizes = {ground: sorted(found[ground], key=int) for ground in grounds}
    heads = [f"{ground}, {int(size):,} entries" for ground in grounds for size in sizes[ground]]
    questions = [one for one in found[grounds[0]][sizes[grounds[0]][0]] if one not in _ASIDE]
    lines = [f"| ms (of them CPU) | {' | '.join(heads)} | target |", f"|{'---|' * (len(heads) + 2)}"]
    for question in questions:
        seen = {ground: [found[ground][size][question] for size in sizes[ground]] for ground in grounds}
        cells = [f"{one['ms']:.1f} ({one['cpu_ms']:.1f})" for some in seen.values() for one in some]
        lines.append(f"| {question} | {' | '.join(cells)} | {_target(question, seen)} |")
    return "\n".join(lines)


def _target(question: str, seen: Mapping[str, list[Mapping[str, float]]]) -> str:
    """Time for a proof; for pages CPU, which other work on the machine changes least."""
    if question == "a proof":
        is_met = all(some[-1]["ms"] < _MOST_PROOF_MS for some in seen.values())
        return f"under {_MOST_PROOF_MS}: {verdict(is_met=is_met)}"
    pairs = [(some[0]["cpu_ms"], some[-1]["cpu_ms"]) for some in seen.values()]
    flat = all(large <= max(small * _MOST_RATIO, small + _SMALL_MS) for small, large in pairs)
    return f"the same: {verdict(is_met=flat)}"
