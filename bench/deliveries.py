"""Deliveries beside their baseline: from the outbound topic to a receiver on loopback."""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench import wrk
from bench.grounds import Ground
from bench.half_load import half_of, pace, run_module
from bench.installation import CONCURRENCY, Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import OUTBOUND_TYPE, slugs
from bench.outcome import Case, Half, Profile, Sample, middle
from bench.plan import Plan
from bench.profiling import profiled
from bench.programs import ProgramError, wait_until
from bench.receiver import Receiver
from bench.sequenced import lone_sequencer
from bench.wrk import Target
from gateway.bootstrap.ground import entropy

_SECONDS: Final = 300.0
_WARM_EVENTS: Final = 200
_PROBE_SECONDS: Final = 3.0
_RELAYS: Final = {"embedded": "up", "kafka": "relay"}


@dataclass(frozen=True, slots=True)
class _Fed:
    """What a generator of deliveries did, as `Half` has it."""

    rate: float
    busy: float
    refused: int = 0


def measure_deliveries(
    ground: Ground, installation: Installation, receiver: Receiver, plan: Plan, *, is_whole: bool = True
) -> Case:
    """Pairs of relay and bare loop. The relay of the installation is stopped, and stopped again.

    Each round publishes while nothing delivers; then the relay starts, and the receiver's clock counts from
    the first POST to the last. `is_whole`: latency at half load and a profile, too.
    """
    pairs, events = [], plan.deliveries
    for _ in range(plan.rounds):
        ours, size, _ = _relayed(ground, installation, receiver, events)
        pairs.append((ours, posted(ground, receiver, events, size)))
    case = Case(
        "deliveries",
        ground.kind,
        len(installation.keys),
        0,
        gateway=[ours for ours, _ in pairs],
        bare=[bare for _, bare in pairs],
        notes={"receiver": receiver.language, "concurrency": str(CONCURRENCY)},
    )
    if not is_whole:
        return case
    _, size, profiles = _relayed(ground, installation, receiver, events, with_profile=True)
    rates = [middle([pair[side].rate for pair in pairs])[0] for side in (0, 1)]
    return replace(
        case,
        half_gateway=_relayed_evenly(ground, installation, receiver, rates[0] / 2, plan.half_seconds),
        half_bare=_posted_evenly(receiver, rates[1] / 2, plan.half_seconds, size),
        profiles=profiles,
    )


def _relayed(
    ground: Ground, installation: Installation, receiver: Receiver, events: int, *, with_profile: bool = False
) -> tuple[Sample, int, list[Profile]]:
    """One run of the relay; the bytes of a body; and where the time went, if asked."""
    relay = _RELAYS[ground.kind]
    with lone_sequencer(installation) as program:
        program.ask(do="publish", events=events, run=entropy(4).hex())
    receiver.seen(reset=True)
    installation.start(relay)
    wait_until(lambda: receiver.seen()["posts"] > 0, _SECONDS, "nothing was delivered")
    pids, before = installation.pids(), receiver.seen()["posts"]
    reset_peak(pids)
    meter = Meter({"gateway": pids, "receiver": [receiver.pid], **ground.parts()})
    watched = {relay: installation.programs[relay].pid} if with_profile else {}
    with profiled("deliveries", ground.kind, watched) as profiles:
        _await_posts(receiver, events)
    shares, ended = meter.shares(), time.monotonic()
    seen = receiver.seen()
    installation.drain()
    sample = Sample(
        rate=_rate(seen),
        cpu_ms=meter.used("gateway") * 1000 / max(1, events - before),
        peak_bytes=peak_bytes(pids),
        shares=shares,
        lag_seconds=time.monotonic() - ended,
    )
    installation.stop(relay)
    return sample, seen["bytes"] // seen["posts"], profiles


def posted(ground: Ground, receiver: Receiver, events: int, size: int) -> Sample:
    """The bare loop: so many POSTs of so many bytes each."""
    receiver.seen(reset=True)
    words = {"url": receiver.url, "posts": events, "bytes": size, "concurrency": CONCURRENCY}
    meter = Meter({"receiver": [receiver.pid], **ground.parts()})
    found = run_module("bench.poster", words)
    shares = meter.shares({"baseline": found["cpu"]})
    return Sample(
        rate=_rate(receiver.seen()),
        cpu_ms=found["cpu"] * 1000 / events,
        peak_bytes=found["peak"],
        shares=shares,
    )


def _relayed_evenly(
    ground: Ground, installation: Installation, receiver: Receiver, rate: float, seconds: float
) -> Half:
    """Half of the relay's load, evenly: put on the topic, or, where the gateway's file holds it, by HTTP."""
    feed = _fed_by_http if ground.kind == "embedded" else _fed_by_topic
    fed = feed(installation, receiver, rate, seconds)
    least = int(fed.rate * seconds) - fed.refused
    wait_until(lambda: receiver.latencies()["count"] >= least, _SECONDS, "not everything was delivered")
    found = half_of(fed.rate, _latency(receiver), asdict(fed))
    installation.drain()
    installation.stop(_RELAYS[ground.kind])
    return found


def _fed_by_topic(installation: Installation, receiver: Receiver, rate: float, seconds: float) -> _Fed:
    with lone_sequencer(installation) as program:
        program.ask(do="publish", events=_WARM_EVENTS, run=entropy(4).hex())
        receiver.seen(reset=True)
        installation.start("relay")
        _await_posts(receiver, _WARM_EVENTS)
        seen = program.ask(do="pace", rate=rate, seconds=seconds)
    return _Fed(rate, seen["busy"])


def _fed_by_http(installation: Installation, receiver: Receiver, rate: float, seconds: float) -> _Fed:
    """At most half of what is accepted here, while the same process delivers it: wrk finds out."""
    installation.start("up")
    path = f"/v1/partners/{slugs(1)[0]}/events/{OUTBOUND_TYPE}"
    target = Target(installation.url, path, installation.operator_file, 1, CONCURRENCY)
    loaded = wrk.run(target, seconds=_PROBE_SECONDS, run_name=entropy(4).hex())
    installation.drain()
    receiver.seen(reset=True)
    accepted = (loaded.requests - loaded.refused) / loaded.seconds
    half, _ = pace(target, rate=max(1.0, min(rate, accepted / 2)), seconds=seconds)
    return _Fed(half.rate, half.busy, half.refused)


def _posted_evenly(receiver: Receiver, rate: float, seconds: float, size: int) -> Half:
    receiver.seen(reset=True)
    words = {"url": receiver.url, "bytes": size, "concurrency": CONCURRENCY, "rate": rate, "seconds": seconds}
    seen = run_module("bench.poster", words)
    return half_of(rate, _latency(receiver), seen)


def _latency(receiver: Receiver) -> dict[str, float]:
    found = receiver.latencies()
    return {f"{name}_ms": found[f"{name}_us"] / 1000 for name in ("p50", "p99", "max")}


def _await_posts(receiver: Receiver, events: int) -> None:
    wait_until(lambda: receiver.seen()["posts"] >= events, _SECONDS, "not everything was delivered")


def _rate(seen: dict[str, Any]) -> float:
    if seen["posts"] < 2:  # noqa: PLR2004 - a rate needs two points in time
        raise ProgramError("too few deliveries for a rate")
    return float((seen["posts"] - 1) / seen["seconds"])
