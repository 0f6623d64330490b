from typing import get_args

import pytest

from schemas.difference import MEND, Difference, DifferenceKind


@pytest.mark.parametrize("kind", get_args(DifferenceKind))
def test_every_kind_says_what_where_and_how_to_mend_it(kind: DifferenceKind) -> None:
    one = Difference("/fields/2/type", "text", "backward", kind, "amount")
    message = one.message()
    assert message.startswith(f"{{errorType:'{kind}', description:'The ")
    assert "at path '/fields/2/type'" in message
    assert message.endswith("additionalInfo:'amount'}")
    assert one.mend == MEND[kind] != ""


def test_new_and_old_change_places_with_the_direction() -> None:
    kind: DifferenceKind = "READER_FIELD_MISSING_DEFAULT_VALUE"
    backward = Difference("/fields/0", "t", "backward", kind, "a").message()
    forward = Difference("/fields/0", "t", "forward", kind, "a").message()
    assert "in the new schema has no default value and is missing in the old schema" in backward
    assert "in the old schema has no default value and is missing in the new schema" in forward


def test_a_difference_of_the_whole_is_at_the_root() -> None:
    assert "at path '/'" in Difference("", "text").message()
    assert str(Difference("", "text")) == "backward /: text"
