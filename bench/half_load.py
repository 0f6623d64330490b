"""Runs the generator of half loads, `bench.paced`, and takes what it saw."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.outcome import Half
from bench.programs import ROOT
from bench.wrk import Target


def pace(target: Target, *, rate: float, seconds: float, checkpoint: str = "") -> tuple[Half, Half | None]:
    """Send so many events a second, evenly: latency of answers, and of proofs where a checkpoint is named.

    `checkpoint`: the path of that of the log to which these events go.
    """
    words = {
        **asdict(target),
        "key_file": str(target.key_file),
        "seconds": seconds,
        "rate": rate / target.events,
        "checkpoint": checkpoint,
    }
    seen = run_module("bench.paced", words)
    half = half_of(rate, seen, seen)
    return half, half_of(rate, seen["proof"], seen) if checkpoint else None


def half_of(rate: float, latency: Mapping[str, float], seen: Mapping[str, Any]) -> Half:
    """`latency`: percentiles in milliseconds; `seen`: what the generator says of itself."""
    percentiles = (latency["p50_ms"], latency["p99_ms"], latency["max_ms"])
    return Half(rate, *percentiles, busy=seen["busy"], refused=seen.get("refused", 0))


def run_module(module: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Run a module of the bench to its end; the line of JSON that it says."""
    ran = subprocess.run(  # noqa: S603 - this interpreter, and a module of this repository
        [sys.executable, "-m", module, json.dumps(words)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
