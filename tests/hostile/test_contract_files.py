"""Contract files that were written to break the reader: one documented error, always with a place."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partners.contract_file import attach_files, read_contract
from partners.errors import ContractFileError, Problem

HEAD = "gateway: v1\npartner: acme\n"
WORDS = st.sampled_from(
    [
        "gateway", "v1", "partner", "acme", "sends", "receives", "order.placed", "schema", "a.avsc", "id",
        "limits", "5GiB", "keep", "7y", "endpoints", "declared", "hosts", "url", "https://a.example", "name",
        "delivery", "retry", "0s", "topics", "forward", "to", "true", "null", "12", "authentication", "oauth",
        "&x", "*x", "!!int", "<<", "---", "...", "%YAML 1.1", "{", "}", "[", "]", ",", ": ", "\n", "\n  ",
        "/a", "- ",
        "? ", "|", ">", "'", '"', "\\", "#", "\t", "\x00", "\ufeff", "\u2028", "\x85", "é", "~", "@", "`",
    ]
)  # fmt: skip


def read_or_refuse(text: str) -> None:
    """Read a text; a refusal has to say where and what, without echoing control characters."""
    problems: tuple[Problem, ...] | None = None
    try:
        read_contract(text, name="hostile.yaml")
    except ContractFileError as error:
        problems = error.problems
    assert problems != ()
    for problem in problems or ():
        assert problem.line >= 1
        assert problem.detail
        assert problem.detail.isprintable()
        assert len(problem.detail) < 1_000


@given(st.text(max_size=300))
@example("\ud800")
@example('a: "\\ud800"')
@example("a: !!python/object/new:os.system [id]")
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)
    read_or_refuse(HEAD + text)


@given(st.lists(WORDS, max_size=40).map("".join))
def test_any_string_of_the_words_of_contracts_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)
    read_or_refuse(HEAD + text)


@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(alphabet="ab/.*:1~-", max_size=8).map(repr)
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["name", "url", "to", "a"]), inner, max_size=3),
        ),
        max_leaves=8,
    ),
    st.sampled_from(
        [
            "name",
            "contacts",
            "authentication",
            "sends",
            "receives",
            "limits",
            "delivery",
            "endpoints",
            "topics",
            "keep",
        ]
    ),
)
def test_any_value_in_any_section_is_read_or_refused(value: object, section: str) -> None:
    text = str(value).replace("None", "null").replace("True", "true").replace("False", "false")
    read_or_refuse(f"{HEAD}{section}: {text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 500_000,
        "{" * 500_000,
        "- " * 300_000,
        "? " * 300_000,
        "a: [" + "1," * 400_000,
        "{" + "a: 1, " * 150_000,
        "'" * 900_000,
        "&" + "a" * 900_000,
        "!" * 900_000,
        "\n" * 1_000_000,
        "a: |\n" + " x\n" * 250_000,
        "x" * 1_100_000,
        "\ufeff" * 300_000,
    ],
)  # fmt: skip
def test_floods_of_any_kind_are_refused(text: str) -> None:
    with pytest.raises(ContractFileError):
        read_contract(text, name="hostile.yaml")


def test_entities_that_expand_are_refused_at_the_first_anchor() -> None:
    text = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    with pytest.raises(ContractFileError) as caught:
        read_contract(text, name="hostile.yaml")
    assert [(problem.line, problem.code) for problem in caught.value.problems] == [(1, "not_allowed")]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../a",
        "a/../../b",
        "./a",
        "a/./b",
        "a\\b",
        "C:/a",
        "~/a",
        "a b",
        "a\tb",
        "é",
        "a/",
        "/",
        "a//b",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    text = HEAD + "sends:\n  order.placed:\n    schema: '" + path + "'\n"
    with pytest.raises(ContractFileError) as caught:
        read_contract(text, name="hostile.yaml")
    assert [problem.pointer for problem in caught.value.problems] == ["/sends/order.placed/schema"]


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3))
def test_any_files_sent_along_are_attached_or_refused(files: dict[str, str]) -> None:
    file = read_contract(HEAD + "sends: {a: {schema: a.avsc}}", name="hostile.yaml")
    try:
        attached = attach_files(file, files)
    except ContractFileError:
        return
    assert dict(attached.files) == files
    assert set(files) == {"a.avsc"}
