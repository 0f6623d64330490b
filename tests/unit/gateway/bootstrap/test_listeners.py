import io
import json
from collections.abc import Iterator

import pytest
import structlog

from gateway.bootstrap.listeners import notice
from gateway.errors import AwayError, BugError, StoreDamagedError
from gateway.logs import configure


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("info", "json", lambda: 0, stream)
    yield stream
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (AwayError("overloaded", "full"), "info"),
        (StoreDamagedError("damaged"), "error"),
        (BugError("ours"), "error"),
        (ValueError("ours"), "error"),
    ],
)
def test_only_what_is_not_by_design_is_an_error_of_the_log(
    lines: io.StringIO, error: Exception, level: str
) -> None:
    notice("req_1", error)
    line = json.loads(lines.getvalue())
    assert (line["level"], line["request_id"]) == (level, "req_1")
    assert str(error) in line["error"]
