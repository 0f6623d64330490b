"""Durations, sizes and addresses as people write them: `15s`, `1MiB`, `127.0.0.1:8080`."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

_MS: Final = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "y": 365 * 86_400_000,
}
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_AMOUNT: Final = re.compile(r"([0-9]{1,12})([A-Za-z]+)")
_PORTS: Final = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0: any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """As `parse_address` reads it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_duration(text: str) -> int:
    """Milliseconds of `200ms`, `15s`, `5m`, `3h`, `5d`, `2w`, `7y` (365 days).

    Raises:
        ValueError: anything else; the text says what is taken.
    """
    return _amount(text, _MS, "a duration such as 200ms, 15s, 5m, 3h, 5d or 7y")


def format_duration(ms: int) -> str:
    """The shortest text that `parse_duration` reads as `ms`; years are shown as days."""
    units = [(unit, size) for unit, size in _MS.items() if unit not in {"w", "y"} and ms % size == 0]
    unit, size = units[-1] if ms else ("s", 1_000)
    return f"{ms // size}{unit}"


def parse_size(text: str) -> int:
    """Bytes of `512B`, `1KiB`, `1MiB`, `10GiB`, `1TiB`.

    Raises:
        ValueError: anything else; the text says what is taken.
    """
    return _amount(text, _BYTES, "a size such as 512B, 64KiB, 1MiB or 10GiB")


def format_size(count: int) -> str:
    """The shortest text that `parse_size` reads as `count`."""
    unit, size = (
        [(unit, size) for unit, size in _BYTES.items() if count % size == 0][-1] if count else ("B", 1)
    )
    return f"{count // size}{unit}"


def parse_address(text: str) -> Address:
    """Host and port of `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080`.

    Raises:
        ValueError: anything else; the text says what is taken.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if is_bracketed else host
    is_port = port.isascii() and port.isdecimal() and int(port) <= _PORTS
    if not (colon and bare and is_port) or (":" in bare) != is_bracketed or re.search(r"[\s/@\[\]]", bare):
        raise ValueError("an address is HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(bare, int(port))


def _amount(text: str, units: dict[str, int], wanted: str) -> int:
    match = _AMOUNT.fullmatch(text)
    if not match or match[2] not in units:
        raise ValueError(f"write {wanted}")
    return int(match[1]) * units[match[2]]
