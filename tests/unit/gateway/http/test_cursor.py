import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.http.cursor import open_cursor, seal_cursor

KEY = b"k" * 32
BOUND = ("history", "acme", "state=refused")


@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.text())))
def test_a_token_opens_to_what_was_sealed(state: list[int | str]) -> None:
    assert open_cursor(KEY, BOUND, seal_cursor(KEY, BOUND, state)) == state


@pytest.mark.parametrize(
    "bound",
    [("history", "globex", "state=refused"), ("history", "acme", ""), ("stream", "acme", "state=refused")],
)
def test_a_token_is_good_for_its_partner_and_filter_alone(bound: tuple[str, ...]) -> None:
    with pytest.raises(CallerError) as caught:
        open_cursor(KEY, bound, seal_cursor(KEY, BOUND, (1, 2)))
    assert caught.value.code == "cursor_invalid"


def test_bounds_cannot_be_shifted_into_one_another() -> None:
    with pytest.raises(CallerError):
        open_cursor(KEY, ("ab", "c"), seal_cursor(KEY, ("a", "bc"), (1,)))


@given(st.text(max_size=3000))
def test_any_other_text_is_one_error(token: str) -> None:
    with pytest.raises(CallerError) as caught:
        open_cursor(KEY, BOUND, token)
    assert caught.value.code == "cursor_invalid"


@given(st.integers(0, 30), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    token = seal_cursor(KEY, BOUND, (1, 2, 3))
    letter = chr((ord(token[place % len(token)]) + change) % 128)
    changed = token[: place % len(token)] + letter + token[place % len(token) + 1 :]
    if changed != token:
        with pytest.raises(CallerError):
            open_cursor(KEY, BOUND, changed)
