"""What is read quickly is what is read carefully; what is refused is for the careful one."""

from hypothesis import given
from hypothesis import strategies as st

from partners.errors import ContractFileError
from partners.yaml_tree import Node, _read_quickly, read_carefully
from tests.world import CONTRACT

SEEDS = (
    CONTRACT,
    "a: [1, {b: 'c'}, \"d\"]\nb: |\n  x\nc: >-\n  f\n? k\n: v\n- z\n",
    "# Acme -> us, `gateway plan`\nk: {name: Müller, 'q': 'it''s', n: -12, t: true}\nl:\n- a\n-  - b\n",
)
LETTERS = "\n :-#?[]{},'\"|>&*!%@`\\~.0aé\t\r\u2028\ufeff<=;+Ж\U0001f600"


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 3))
        put = draw(st.one_of(st.sampled_from(LETTERS), st.text(LETTERS, max_size=4)))
        text = text[:at] + put + text[at + gone :]
    return text


def carefully(text: str) -> Node | None:
    try:
        return read_carefully(text, name="c.yaml")
    except ContractFileError:
        return None


@given(mutated())
def test_both_readers_make_the_same_of_a_text(text: str) -> None:
    quick = _read_quickly(text, "c.yaml")
    assert quick is None or quick == carefully(text)


def test_a_contract_of_every_day_is_read_quickly() -> None:
    assert _read_quickly(CONTRACT, "c.yaml") == carefully(CONTRACT) is not None
