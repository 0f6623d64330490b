"""Feeds a target until the time is over: by atheris (libFuzzer) where that is installed, else by chance.

Runs in a process of its own, see `tests.fuzz.child`. Whatever a target must not do ends that process with a
trace and the input: an error that it does not document, an input that takes too long, too much memory.
"""

import faulthandler
import importlib.util
import random
import resource
import sys
import time
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.targets import Target

LONGEST_SECONDS: Final = 20
"""For one input, on a busy machine: an honest one takes some milliseconds."""

MOST_MEMORY: Final = 2 * 2**30
"""Of the whole process, program and libraries with it."""

MOST_BYTES: Final = 4_096

_PIECES: Final = (
    *(bytes([one]) for one in (0, 1, 2, 0x7F, 0x80, 0xFF)),
    b"\xff" * 9 + b"\x01",
    b"\x80" * 12,
    b"null",
    b"{}",
    b"[" * 70,
    b'{"a":' * 70,
    b"1e999",
    b"-0",
    b"NaN",
    b"9" * 30,
    b'"\\ud800"',
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\n\n",
    b"%00",
    b"'",
    b'"',
    b"\\",
)


def has_atheris() -> bool:
    """Whether coverage leads the search; else chance does."""
    return importlib.util.find_spec("atheris") is not None


def run(target: Target, *, seconds: float, start: int, crashes: Path) -> int:
    """Fuzz; returns how many inputs were tried.

    Raises:
        Exception: what the target must not raise; its input is in a file below `crashes`.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    feed = _Feed(target, crashes)
    if has_atheris():
        _run_atheris(feed, seconds, start, crashes)
    else:
        _run_chance(feed, seconds, start)
    return feed.count


class _Feed:
    """Hands inputs to a target and judges what it does."""

    def __init__(self, target: Target, crashes: Path) -> None:
        self._target = target
        self._crashes = crashes
        self.count = 0

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """Inputs to begin with."""
        return self._target.seeds

    def take(self, raw: bytes) -> None:
        """Judge one input.

        Raises:
            Exception: what the target must not raise.
        """
        self.count += 1
        latest = self._crashes / f"{self._target.name}.latest"
        faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
        try:
            latest.write_bytes(raw)  # is there for whoever ends this process from without
            self._target.read(raw)
        except self._target.documented:
            pass
        except BaseException:
            (self._crashes / f"{self._target.name}.crash").write_bytes(raw)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()


def mutations(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Good inputs with pieces put in, cut out, doubled or exchanged; and any bytes at all."""
    changed = st.builds(
        _changed,
        st.sampled_from(seeds),
        st.lists(st.integers(0, 2**32), min_size=1, max_size=6),
        st.sampled_from(_PIECES) | st.binary(max_size=12),
    )
    return changed | st.binary(max_size=300)


def _changed(good: bytes, numbers: list[int], piece: bytes) -> bytes:
    raw = good
    for number in numbers:
        chance = random.Random(number)  # noqa: S311 - inputs of a fuzzer, which must come again
        start, end = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
        before, within, after = raw[:start], raw[start:end], raw[end:]
        match chance.randrange(6):
            case 0:
                raw = before + piece + within + after
            case 1:
                raw = before + after
            case 2:
                raw = before + within + within + after
            case 3:
                raw = (
                    before + bytes(one ^ 1 << chance.randrange(8) for one in within[:1]) + within[1:] + after
                )
            case 4:
                raw = before
            case _:
                raw = before + chance.choice(_PIECES) + within[1:] + after
        raw = raw[: max(MOST_BYTES, len(good))]
    return raw


def try_some(target: Target, count: int, *, start: int, crashes: Path) -> None:
    """A fixed number of inputs, the same ones for the same `start`."""
    _hypothesis(_Feed(target, crashes), count, start)


def _run_chance(feed: _Feed, seconds: float, start: int) -> None:
    """Some inputs by Hypothesis, which knows what is odd; the rest by chance, a hundred times as fast."""
    until = time.monotonic() + seconds
    for one in feed.seeds:
        feed.take(one)
    _hypothesis(feed, 300, start)
    chance = random.Random(start)  # noqa: S311 - as below
    while time.monotonic() < until:
        numbers = [chance.getrandbits(32) for _ in range(chance.randrange(1, 8))]
        feed.take(_changed(chance.choice(feed.seeds), numbers, chance.choice(_PIECES)))


def _hypothesis(feed: _Feed, count: int, start: int) -> None:
    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(feed.seeds))
    def some(raw: bytes) -> None:
        feed.take(raw)

    some()


def _run_atheris(feed: _Feed, seconds: float, start: int, crashes: Path) -> None:
    atheris: Any = importlib.import_module("atheris")
    corpus = crashes / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, one in enumerate(feed.seeds):
        (corpus / f"seed-{number}").write_bytes(one)
    options = (
        f"-max_total_time={max(1, int(seconds))}",
        f"-seed={start or 1}",
        f"-max_len={max(MOST_BYTES, *map(len, feed.seeds))}",
        "-rss_limit_mb=2048",
        f"-timeout={LONGEST_SECONDS}",
        "-verbosity=0",
        "-print_final_stats=1",
        f"-artifact_prefix={crashes}/",
        str(corpus),
    )
    for function in _ours():
        atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *options], feed.take)
    atheris.Fuzz()


def _ours() -> list[FunctionType]:
    """The functions and methods of our packages: those of all modules would take minutes to instrument."""
    found: list[FunctionType] = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"gateway", "partners", "schemas", "audit"}:
            held = [one for one in vars(module).values() if getattr(one, "__module__", None) == name]
            for one in held:
                members = vars(one).values() if isinstance(one, type) else (one,)
                found += [each for each in members if isinstance(each, FunctionType)]
    return found
