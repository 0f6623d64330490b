"""A sample belongs to the innermost frame that a rule names."""

from bench.profiling import area_of, areas_of

FOREIGN = "encode (json/encoder.py:1)"


def test_what_others_do_for_us_is_ours() -> None:
    assert area_of(["run (gateway/http/events.py:1)", "sign (audit/evidence.py:3)", FOREIGN]) == (
        "evidence and receipts"
    )


def test_a_commit_is_told_apart_from_what_led_to_it() -> None:
    stack = [
        "write (gateway/ingress/claims.py:1)",
        "DefaultDialect.do_commit (sqlalchemy/engine/default.py:9)",
    ]
    assert area_of(stack) == "COMMIT"


def test_what_no_rule_names_is_all_else() -> None:
    assert area_of([FOREIGN]) == "all else"


def test_shares_are_of_all_samples() -> None:
    text = f"main;a (schemas/codec.py:1);{FOREIGN} 3\nmain;b (nothing.py:2) 1\n"
    assert areas_of(text) == (4, {"JSON and Avro": 0.75, "all else": 0.25})
