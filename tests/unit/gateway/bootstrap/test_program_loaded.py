import subprocess
import sys
from typing import Final

import pytest

_PROGRAM: Final = """
import sys
from gateway.cli.main import make_app
from gateway.address import AddressPolicy
from gateway.bootstrap import parts, program
from gateway.dialler import Dialler
make_app("serve")
Dialler(AddressPolicy(), timeout_ms=1000)
print(*sys.modules)
"""

_NOT_NEEDED: Final = (
    "aiohttp",  # until somebody is dialled
    "alembic",
    "confluent_kafka",  # unless that is the broker
    "cramjam",
    "gateway.broker.embedded",  # unless that is the broker
    "gateway.doctor",
    "httpx",
    "jinja2",
    "pygments",
    "rich",
    "typer.rich_utils",
    "zstandard",
)


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    """The modules of a process that is about to serve."""
    done = subprocess.run((sys.executable, "-c", _PROGRAM), capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("name", _NOT_NEEDED)
def test_a_process_that_serves_does_not_load(name: str, loaded: frozenset[str]) -> None:
    assert "gateway.http.server" in loaded
    assert name not in loaded
