"""Ports, descriptors, names, and what deliveries may dial."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.doctor.finding import Area, Finding

PORTS: Final = Area("ports")
EGRESS: Final = Area("egress")
DESCRIPTORS: Final = 4_096
_PRIVILEGED: Final = 1_024

PortState = Literal["free", "ours", "taken", "denied", "elsewhere", "failed"]
"""`ours`: a gateway answers there. `denied`: needs other rights. `elsewhere`: no address of this machine."""


@dataclass(frozen=True, slots=True)
class PortSeen:
    """One listener's address (a setting `name`), and what is there now; `why`: the system's words."""

    name: str
    address: str
    port: int
    state: PortState
    why: str = ""


def judge_port(seen: PortSeen) -> Finding:
    """Judge where the gateway is to listen."""
    place = f"{seen.name} {seen.address}"
    if seen.state == "free":
        return PORTS.ok(f"{place} is free")
    if seen.state == "ours":
        return PORTS.ok(f"{place} is held by a running gateway")
    if seen.state == "taken":
        return PORTS.fault(
            f"{place} is held by another program", f"stop that one (ss -ltnp), or set {seen.name}"
        )
    if seen.state == "denied" and seen.port < _PRIVILEGED:
        return PORTS.fault(
            f"{place} is below 1024, and this user may not listen there",
            "take a port above, or give the right (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)",
        )
    if seen.state == "elsewhere":
        return PORTS.fault(f"{place} is no address of this machine", f"set {seen.name} to one that is")
    return PORTS.fault(f"{place} cannot be listened on ({seen.why})", f"set {seen.name} to another")


def judge_descriptors(limit: int) -> Finding:
    """Judge how many files and connections this user's processes may have open; -1: no limit."""
    if 0 <= limit < DESCRIPTORS:
        return PORTS.warning(
            f"a process may have {limit} files and connections open",
            f"raise it to {DESCRIPTORS} or more (ulimit -n, systemd: LimitNOFILE=)",
        )
    return PORTS.ok(
        f"a process may have {'any number of' if limit < 0 else limit} files and connections open"
    )


def judge_names(resolved: Mapping[str, str | None]) -> Iterator[Finding]:
    """Judge the resolver by names of our own: each with its address, or with None where it has none."""
    for name, address in resolved.items():
        if address is None:
            yield EGRESS.warning(
                f"this host's resolver does not know {name}",
                "check /etc/resolv.conf and the name; deliveries need the resolver too",
            )
        else:
            yield EGRESS.ok(f"this host's resolver knows {name} ({address})")


def judge_policy(allow: Sequence[str], deny: Sequence[str], *, loopback: bool) -> Iterator[Finding]:
    """Say what may be dialled."""
    words = ["public addresses"]
    if loopback:
        words.append("this machine, since we listen on loopback only")
    words += allow
    denied = f", but for {', '.join(deny)}" if deny else ""
    yield EGRESS.ok(f"deliveries go to {', '.join(words)}{denied}")


def judge_own(host: str, address: str | None, *, may_be_dialled: bool) -> Iterator[Finding]:
    """Judge whether partners may aim endpoints at `origin`: that may be a proxy before us, elsewhere."""
    if address is not None and may_be_dialled:
        yield EGRESS.warning(
            f"partners may have deliveries sent to {host} ({address}), which is our own front door",
            "name its addresses in egress.deny, unless endpoints are meant to be behind it",
        )


def judge_proxies(names: Sequence[str]) -> Iterator[Finding]:
    """Say that variables which name a proxy have no effect."""
    if names:
        yield EGRESS.warning(
            f"{', '.join(names)} is set, and has no effect: deliveries are dialled directly",
            "let the firewall allow this host to go out, or take the variable away",
        )


def judge_trust(authorities: int, place: str) -> Finding:
    """Judge by how many authorities HTTPS endpoints are checked; `place`: file or folder they come from."""
    if authorities:
        return EGRESS.ok(f"HTTPS endpoints are checked by {authorities} authorities of {place}")
    return EGRESS.fault(
        f"no trusted authority is in {place or 'any known place'}: every HTTPS delivery will fail",
        "install the package ca-certificates, or set SSL_CERT_FILE",
    )
