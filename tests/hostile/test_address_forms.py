"""Spellings of addresses, and answers of resolvers, before a stubbed dial: what is denied opens no socket."""

import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.address import AddressPolicy, Verdict
from gateway.dialler import Answer, Dialler, Outgoing, default_tls
from tests.unit.gateway.test_dialler import counting_server

TLS = default_tls()
PUBLIC = "93.184.215.14"

DENIED_LITERALS = (
    # IPv4 by its parts
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - nobody binds to it
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    # the same, as a resolver reads numbers
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.1.",
    "0",
    "0x0",
    "0.0",
    "10.1",
    "0xa.0.0.1",
    "012.0.0.1",
    "167772161",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "3232235521",
    "192.168.257",
    "4294967295",
    # IPv6, whole, short, and with an IPv4 address inside
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::5db8:d70e]",
    "[64:ff9b:1::a00:1]",
    "[64:ff9b:1:ffff:ffff:ffff:10.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:53aa:64c:0:0:80ff:fffe]",
    "[2001::1]",
    "[2001:db8::1]",
    "[100::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fdff:ffff::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[4000::1]",
    "[::1:1]",
)

REFUSED_SPELLINGS = (
    "①②⑦.0.0.1",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.acme.example",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "127.0.0.1\\.acme.example",
    "acme.example@127.0.0.1",
    "acme.example:80@127.0.0.1",
    "127.0.0.1#.acme.example",
    "127.0.0.1 .acme.example",
    "localhost\t",
    "\u0430cme.example",
    "[::1].acme.example",
    "127.0.0.1:0x50",
    "",
)


@dataclass
class Stub:
    """Stands where a socket would be opened; `opened` has an item for each."""

    opened: list[int] = field(default_factory=list)

    def __call__(self, family: int, _kind: int, _proto: int) -> socket.socket:
        self.opened.append(family)
        raise OSError("the dial is a stub")


@dataclass
class Names:
    """A resolver whose answers come one by one; the last stays."""

    answers: list[Sequence[str]]
    asked: int = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@dataclass(frozen=True)
class Fickle(AddressPolicy):
    """Allows the first questions: whatever an address was, it is another thing now."""

    patience: int = 0
    asked: list[str] = field(default_factory=list)

    def judge(self, address: str, *, is_own: bool = False) -> Verdict:
        self.asked.append(address)
        del is_own
        return Verdict(len(self.asked) <= self.patience, address)


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
async def guarded(stub: Stub) -> AsyncIterator[Dialler]:
    async with dialling(AddressPolicy(), stub) as dialler:
        yield dialler


def to(host: str) -> Outgoing:
    return Outgoing(f"https://{host}/in", (), b"x")


def dialling(policy: AddressPolicy, stub: Stub, names: Names | None = None) -> Dialler:
    return Dialler(policy, timeout_ms=10_000, lookup=names, open_socket=stub, tls=TLS)


async def answer_of(names: Names, stub: Stub) -> Answer:
    async with dialling(AddressPolicy(), stub, names) as dialler:
        return await dialler.send(to("hooks.acme.example"))


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len(set(DENIED_LITERALS)) >= 60
    assert len(set(DENIED_LITERALS)) == len(DENIED_LITERALS)


@pytest.mark.parametrize("host", DENIED_LITERALS)
async def test_no_spelling_of_a_denied_address_opens_a_socket(
    guarded: Dialler, stub: Stub, host: str
) -> None:
    answer = await guarded.send(to(host))
    assert (answer.status, answer.failure, stub.opened) == (0, "address_denied", [])


@pytest.mark.parametrize("host", REFUSED_SPELLINGS)
async def test_a_host_that_two_readers_could_take_for_two_things_is_refused(
    guarded: Dialler, stub: Stub, host: str
) -> None:
    answer = await guarded.send(to(host))
    assert (answer.status, answer.failure, stub.opened) == (0, "address_denied", [])


@pytest.mark.parametrize("host", [PUBLIC, f"[::ffff:{PUBLIC}]", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]"])
async def test_a_public_address_gets_as_far_as_the_dial(guarded: Dialler, stub: Stub, host: str) -> None:
    answer = await guarded.send(to(host))
    assert (answer.failure, len(stub.opened)) == ("connect_failed", 1)


@pytest.mark.parametrize("host", DENIED_LITERALS)
async def test_no_name_leads_to_a_denied_address(stub: Stub, host: str) -> None:
    try:
        found = socket.getaddrinfo(host.strip("[]").rstrip("."), 443, type=socket.SOCK_STREAM)
    except OSError:
        pytest.skip("nobody's resolver reads that")
    answer = await answer_of(Names([[str(found[0][4][0])]]), stub)
    assert (answer.failure, stub.opened) == ("address_denied", [])


@pytest.mark.parametrize(
    "found",
    [
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, "::ffff:127.0.0.1"],
        [PUBLIC, "64:ff9b::a00:1"],
        ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "169.254.169.254"],
        [PUBLIC] * 20 + ["127.0.0.1"],
        [PUBLIC, "no address"],
        ["fe80::1%1"],
    ],
)
async def test_one_denied_answer_among_many_refuses_all(stub: Stub, found: list[str]) -> None:
    answer = await answer_of(Names([found]), stub)
    assert (answer.failure, stub.opened) == ("address_denied", [])


async def test_a_name_without_address_has_a_reason_of_its_own(stub: Stub) -> None:
    assert (await answer_of(Names([[]]), stub)).failure == "dns_failed"


async def test_a_name_that_answers_otherwise_the_second_time_is_asked_once_for_one_attempt(
    stub: Stub,
) -> None:
    names = Names([[PUBLIC], ["127.0.0.1"]])
    assert (await answer_of(names, stub)).failure == "connect_failed"
    assert (names.asked, len(stub.opened)) == (1, 1)
    assert (await answer_of(names, stub)).failure == "address_denied"
    assert len(stub.opened) == 1


async def test_an_address_is_judged_again_where_the_socket_is_opened(stub: Stub) -> None:
    names = Names([["127.0.0.1"]])
    async with dialling(Fickle(patience=1), stub, names) as dialler:
        answer = await dialler.send(to("hooks.acme.example"))
    assert (answer.failure, stub.opened) == ("address_denied", [])


async def test_the_other_end_of_a_new_connection_is_judged_before_anything_is_sent() -> None:
    asked: list[str] = []
    async with counting_server() as (port, connections):
        policy = Fickle(patience=1, asked=asked, loopback=True)
        async with Dialler(policy, timeout_ms=30_000) as dialler:
            answer = await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"x"))
    assert (answer.failure, connections) == ("address_denied", [0])
    assert asked == ["127.0.0.1"] * 2  # opened, and there
