"""How errors look on a terminal: code, what is wrong, each fault with its place, how to mend it."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.cli.errors import CommandError, ProblemError, UnwritableError
from gateway.cli.hints import detail_in_words, hint_for
from gateway.cli.output import Output
from gateway.cli.plain_text import clean
from gateway.errors import CallerError, GatewayError
from partners.errors import ContractFileError


def show_error(output: Output, error: Exception) -> None:
    """Print an error: words on stderr; where JSON is asked for, a problem's document on stdout too."""
    for line in error_lines(error):
        output.warn(line)
    if isinstance(error, ProblemError) and output.as_json:
        try:
            output.document(error.document)
        except UnwritableError as unwritable:
            # The refusal is what matters, and it has been told.
            output.warn(f"gateway: {unwritable.text}")


def error_lines(error: Exception) -> Iterator[str]:
    """An error in words, a line each."""
    match error:
        case ProblemError():
            yield from problem_lines(error.document, path=error.path)
        case ContractFileError():
            yield from map(str, error.problems)
            yield f"contract_invalid: {_count(len(error.problems), 'problem')}. Nothing was sent."
        case CommandError() | CallerError():
            yield f"gateway: {error.text}"
            if error.hint:
                yield f"  {error.hint}"
        case GatewayError():
            yield from (f"gateway: {line}" for line in error.text.splitlines())
        case _:
            yield f"gateway: {error}"


def problem_lines(document: Mapping[str, Any], indent: str = "", *, path: str = "") -> Iterator[str]:
    """A problem document in words of the command line. `path`: what was asked for."""
    code = clean(document.get("code"))
    detail = detail_in_words(clean(document.get("detail", document.get("title"))))
    yield f"{indent}{code}: {detail}"
    for fault in _faults(document):
        yield f"{indent}  {_place(fault)}: {clean(fault.get('detail', fault.get('code')))}{_expected(fault)}"
    first = document.get("first")
    if isinstance(first, Mapping):
        yield f"{indent}  the first: {clean(first)}"
    hint = hint_for(str(document.get("code")), str(document.get("hint") or ""), path)
    if hint:
        yield f"{indent}  hint: {clean(hint)}"
    if document.get("code") == "internal" and document.get("request_id"):
        yield f"{indent}  request: {clean(document['request_id'])}"


def _faults(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = document.get("errors")
    if isinstance(listed, list):
        yield from (one for one in listed if isinstance(one, Mapping))


def _place(fault: Mapping[str, Any]) -> str:
    pointer = clean(fault.get("pointer") or "/")
    if "file" in fault:
        return f"{clean(fault['file'])}:{clean(fault.get('line'))}: {pointer}"
    return pointer


def _expected(fault: Mapping[str, Any]) -> str:
    return f" (expected {clean(fault['expected'])})" if fault.get("expected") else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
