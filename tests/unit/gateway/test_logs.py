import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs import Format, Level, clean, configure, logger


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def started(level: Level = "info", form: Format = "json", stream: io.StringIO | None = None) -> io.StringIO:
    out = stream or io.StringIO()
    configure(level, form, lambda: 1_764_076_800_123, out)
    return out


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_line_is_one_json_object_with_time_level_and_fields() -> None:
    out = started()
    logger("gateway.relay").info("attempt", endpoint="ep_1", status=200, ok=True, reason=None)
    assert lines(out) == [
        {
            "at": "2025-11-25T13:20:00.123Z",
            "level": "info",
            "logger": "gateway.relay",
            "event": "attempt",
            "endpoint": "ep_1",
            "status": 200,
            "ok": True,
            "reason": None,
        }
    ]


def test_lines_of_other_libraries_pass_the_same_way() -> None:
    out = started()
    logging.getLogger("some.library").warning("from %s", "Bearer abcdef.123")
    assert lines(out)[0]["event"] == "from ***"
    assert lines(out)[0]["logger"] == "some.library"


def test_less_severe_lines_are_left_out() -> None:
    out = started("warning")
    logger("x").info("hidden")
    logger("x").warning("shown")
    assert [line["event"] for line in lines(out)] == ["shown"]


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "signing_secret",
        "password",
        "token",
        "access_token",
        "Authorization",
        "api_key",
        "seed",
        "tokens",
    ],
)
def test_field_named_like_a_secret_is_hidden_at_any_depth(name: str) -> None:
    out = started()
    logger("x").info("m", **{name: "hunter2"}, deep={"list": [{name: "hunter2"}]})
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("***") == 2


@pytest.mark.parametrize(
    "value",
    [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "Authorization: Bearer eyJhbGciOi.J9",
        "the token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIn0.c2lnbmF0dXJl was refused",
        "postgresql://gw:hunter2@db/gw",
        "key gwk_abcdefghijklmnop234567",
    ],
)
def test_value_shaped_like_a_secret_is_hidden(value: str) -> None:
    out = started()
    logger("x").info("m", text=value, many=[value])
    assert "***" in out.getvalue()
    for part in ("MfKQ9r8", "eyJhbGciOi", "hunter2", "abcdefghijklmnop"):
        assert part not in out.getvalue()


@pytest.mark.parametrize("name", ["key_id", "tokens_left", "secretary", "keys"])
def test_harmless_field_is_shown(name: str) -> None:
    out = started()
    logger("x").info("m", **{name: "visible"})
    assert lines(out)[0][name] == "visible"


def test_bytes_are_counted_not_shown() -> None:
    out = started()
    logger("x").info("m", body=b"payload")
    assert lines(out)[0]["body"] == "7 bytes"


@pytest.mark.parametrize("form", ["json", "text"])
def test_forged_line_stays_one_line(form: Format) -> None:
    out = started(form=form)
    logger("x").info("m", ref='a\n{"event":"forged"}\x1b[31m\u2028\u202e')
    shown = out.getvalue()
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_long_value_is_cut() -> None:
    out = started()
    logger("x").info("m", text="y" * 100_000)
    assert len(out.getvalue()) < 3_000


def test_exception_is_a_field_and_shows_no_secret() -> None:
    out = started()
    try:
        int("postgresql://gw:hunter2@db/gw")
    except ValueError:
        logger("x").exception("failed")
    assert "ValueError" in str(lines(out)[0]["exception"])
    assert "hunter2" not in out.getvalue()


def test_auto_is_text_on_a_terminal_and_json_elsewhere() -> None:
    terminal = Terminal()
    started(form="auto", stream=terminal)
    logger("x").info("hello", n=1)
    assert terminal.getvalue().startswith("13:20:00.123 info    hello")
    assert "n=1" in terminal.getvalue()
    assert lines_after_auto() == ["hello"]


def lines_after_auto() -> list[object]:
    out = started(form="auto")
    logger("x").info("hello")
    return [line["event"] for line in lines(out)]


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_field_becomes_json_without_control_characters(value: object) -> None:
    cleaned = clean(None, "info", {"event": "m", "field": value})
    shown = json.dumps(cleaned, ensure_ascii=False)
    assert not any(ord(each) < 32 or ord(each) == 127 for each in shown)
