import pytest

from gateway.doctor.finding import Level
from gateway.doctor.network import (
    PortSeen,
    PortState,
    judge_descriptors,
    judge_names,
    judge_own,
    judge_policy,
    judge_port,
    judge_proxies,
    judge_trust,
)


@pytest.mark.parametrize(
    ("state", "port", "level", "mend"),
    [
        ("free", 8080, Level.OK, ""),
        ("ours", 8080, Level.OK, ""),
        ("taken", 8080, Level.FAULT, "ss -ltnp"),
        ("denied", 443, Level.FAULT, "CAP_NET_BIND_SERVICE"),
        ("denied", 8080, Level.FAULT, "set listen.public"),
        ("elsewhere", 8080, Level.FAULT, "set listen.public"),
        ("failed", 8080, Level.FAULT, "set listen.public"),
    ],
)
def test_a_port_that_cannot_be_had_says_how_to_get_one(
    state: PortState, port: int, level: Level, mend: str
) -> None:
    found = judge_port(PortSeen("listen.public", f"10.0.0.1:{port}", port, state, "why"))
    assert found.level is level
    assert mend in found.mend


def test_few_descriptors_are_a_warning() -> None:
    assert [judge_descriptors(limit).level for limit in (1_024, 65_536, -1)] == [
        Level.WARNING,
        Level.OK,
        Level.OK,
    ]


def test_a_name_that_the_resolver_does_not_know_is_a_warning() -> None:
    known, unknown = judge_names({"localhost": "127.0.0.1", "gw.example": None})
    assert (known.level, unknown.level) == (Level.OK, Level.WARNING)
    assert "gw.example" in unknown.what


def test_the_policy_is_said_in_one_line() -> None:
    (one,) = judge_policy(["10.1.0.0/16"], ["203.0.113.0/24"], loopback=True)
    assert one.what == (
        "deliveries go to public addresses, this machine, since we listen on loopback only, 10.1.0.0/16, "
        "but for 203.0.113.0/24"
    )


def test_a_front_door_that_partners_may_aim_at_is_a_warning() -> None:
    (one,) = judge_own("gw.example", "192.0.2.7", may_be_dialled=True)
    assert (one.level, "egress.deny" in one.mend) == ("warning", True)
    assert list(judge_own("gw.example", "192.0.2.7", may_be_dialled=False)) == []
    assert list(judge_own("gw.example", None, may_be_dialled=False)) == []


def test_a_proxy_of_the_environment_is_said_to_have_no_effect() -> None:
    assert list(judge_proxies([])) == []
    (one,) = judge_proxies(["HTTPS_PROXY"])
    assert "HTTPS_PROXY is set, and has no effect" in one.what


def test_no_authorities_are_a_fault() -> None:
    assert judge_trust(140, "/etc/ssl/certs").level is Level.OK
    assert judge_trust(0, "").level is Level.FAULT
