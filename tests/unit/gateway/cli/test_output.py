import io
from collections.abc import Mapping

import pytest

from gateway.cli.errors import CommandError, ProblemError
from gateway.cli.faults import error_lines, problem_lines, show_error
from gateway.cli.output import Output
from gateway.cli.plain_text import clean
from gateway.errors import SettingsError
from partners.errors import ContractFileError, Problem


def output(*, as_json: bool = False, quiet: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(out, err, as_json, quiet), out, err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (True, "yes"),
        (0, "0"),
        (["a", None], "a, -"),
        ({"a": 1, "b": [2]}, "a=1 b=2"),
        ("\x1b[31m\r\u202e", "?[31m??"),
    ],
)
def test_values_become_texts_that_no_terminal_obeys(value: object, text: str) -> None:
    assert clean(value) == text


def test_a_piped_table_is_not_cut_and_has_no_colours() -> None:
    one, out, _ = output()
    one.table(("ref", "[bold]id"), [["x" * 300, "[red]y"]])
    assert "x" * 300 + "   [red]y" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_quiet_keeps_results_and_warnings() -> None:
    one, out, err = output(quiet=True)
    one.line("result")
    one.note("beside")
    one.warn("trouble")
    assert (out.getvalue(), err.getvalue()) == ("result\n", "trouble\n")


def test_progress_is_no_part_of_a_log() -> None:
    one, out, err = output()
    with one.progress("sending", 10) as bar:
        bar.advance(10)
    assert (out.getvalue(), err.getvalue()) == ("", "")


def test_a_problem_shows_code_faults_and_hint() -> None:
    document: Mapping[str, object] = {
        "code": "contract_invalid",
        "detail": "2 problems.",
        "errors": [
            {"file": "a.yaml", "line": 3, "pointer": "/sends", "detail": "is no mapping"},
            {"pointer": "", "code": "type", "expected": "int", "detail": "is a string"},
            "nonsense",
        ],
        "hint": "Mend it.",
    }
    assert list(problem_lines(document)) == [
        "contract_invalid: 2 problems.",
        "  a.yaml:3: /sends: is no mapping",
        "  /: is a string (expected int)",
        "  hint: Mend it.",
    ]


def test_our_own_mistake_names_the_request() -> None:
    assert "  request: req_1" in list(problem_lines({"code": "internal", "request_id": "req_1"}))


def test_a_problem_in_json_goes_to_stdout_and_its_words_to_stderr() -> None:
    one, out, err = output(as_json=True)
    show_error(
        one, ProblemError({"code": "not_found", "detail": "No."}, status=404, retry_after_seconds=None)
    )
    assert out.getvalue() == '{"code": "not_found", "detail": "No."}\n'
    assert err.getvalue() == "not_found: No.\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CommandError("no", hint="do"), ["gateway: no", "  do"]),
        (SettingsError(("one", "two")), ["gateway: one", "gateway: two"]),
        (
            ContractFileError([Problem("a.yaml", 2, "/x", "type", "is a number")]),
            ["a.yaml:2: /x: is a number", "contract_invalid: 1 problem. Nothing was sent."],
        ),
        (OSError("disk"), ["gateway: disk"]),
    ],
)
def test_errors_are_told_in_words(error: Exception, words: list[str]) -> None:
    assert list(error_lines(error)) == words
