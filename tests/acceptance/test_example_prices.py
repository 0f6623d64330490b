"""The example streams real prices to many readers: each sees each once, in order, cut off or not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import ROOT, Gateway


@pytest.fixture
def contract() -> dict[str, object]:
    """What `gateway apply -f examples/ticker.yaml` sends."""
    examples = ROOT / "examples"
    schema = "schemas/stock_price.avsc"
    return {
        "contract": (examples / "ticker.yaml").read_text(),
        "files": {schema: (examples / schema).read_text()},
    }


def test_many_readers_see_every_price_once(tmp_path: Path, contract: dict[str, object]) -> None:
    gateway = Gateway(tmp_path / "data")
    try:
        gateway.start()
        with gateway.operator() as operator:
            assert operator.put("/v1/partners/ticker/contract", json=contract).status_code == 201
        words = ["--readers", "30", "--days", "8", "--pause", "0", "--url", gateway.url]
        ran = subprocess.run(
            [
                sys.executable,
                "examples/stream_prices.py",
                *words,
                "--operator-key-file",
                str(gateway.folder / "operator.key"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        shown = "".join(what_an_open_stream_shows_until_the_gateway_has_stopped(gateway))
    finally:
        gateway.kill()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout) == {
        "readers": 30,
        "prices": 40,
        "complete": 30,
        "doubled": 0,
        "disordered": 0,
        "cut_and_resumed": 3,
    }
    assert shown.count("data: ") == 40


def what_an_open_stream_shows_until_the_gateway_has_stopped(gateway: Gateway) -> Iterator[str]:
    """It stops in order, and the answer has its end."""
    path, headers = (
        "/v1/partners/ticker/stream?direction=outbound&types=price.daily",
        {"Accept": "text/event-stream"},
    )
    with gateway.operator() as client, client.stream("GET", path, headers=headers, timeout=60) as answer:
        parts = answer.iter_text()
        text = next(parts)
        while text.count("data: ") < 40:
            text += next(parts)
        assert gateway.stop() == 0, gateway.said()
        yield text
        yield from parts
