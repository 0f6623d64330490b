from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session

from schemas import registry, store
from schemas.schema import parse_schema
from schemas.store import Draft, Link

ONE = '{"type":"record","name":"R","fields":[]}'
TWO = '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}'
NAMES = ["A-x", "a-x", "a-y", "a%x", "aZx", "a_x", "ä", "b"]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        yield one


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["A-x", "a%x", "a-x", "a-y", "aZx", "a_x", "b", "ä"]),
        ("a-", ["a-x", "a-y"]),
        ("A", ["A-x"]),
        ("a%", ["a%x"]),
        ("a_", ["a_x"]),
        ("\\", []),
        ("ä", ["ä"]),
    ],
)
def test_subjects_by_prefix_are_those_that_begin_so_to_the_letter(
    session: Session, prefix: str, found: list[str]
) -> None:
    for name in NAMES:
        registry.register(session, name, ONE, now=1)
    assert list(store.load_subjects(session, prefix)) == found


def test_uses_by_prefix_are_those_that_begin_so_to_the_letter(session: Session) -> None:
    made = [registry.register(session, name, ONE, now=1) for name in NAMES]
    uses = store.load_uses(session, made[0].id, ["a-", "A-"])
    assert {one.subject for one in uses} == {"A-x", "a-x", "a-y"}
    assert store.load_uses(session, made[0].id, []) == ()
    assert len(store.load_uses(session, made[0].id, most=1)) == 1
    assert len(store.load_uses(session, made[0].id)) == len(NAMES)


@pytest.mark.parametrize("schema_id", [-1, 0, 2**31, 2**64])
def test_an_id_that_no_row_can_have_is_nowhere(session: Session, schema_id: int) -> None:
    assert store.load_schema(session, schema_id) is None
    assert store.load_uses(session, schema_id) == ()


def test_what_has_references_has_a_digest_of_its_own(session: Session) -> None:
    schema = parse_schema(ONE)
    drafts = [
        Draft(ONE, links, schema.guid, schema.name, schema.fingerprint)
        for links in ((), (Link("A", "a", 1),), (Link("A", "a", 2),), (Link("B", "a", 1), Link("A", "a", 1)))
    ]
    ids = [store.save_schema(session, draft, now=1) for draft in drafts]
    assert len(set(ids)) == len(drafts)
    assert [store.save_schema(session, draft, now=2) for draft in drafts] == ids
    assert [store.load_schema_by_text(session, ONE, draft.links) for draft in drafts] == [
        store.load_schema(session, each) for each in ids
    ]


def test_versions_are_read_with_their_schemas_at_once(session: Session, engine: Engine) -> None:
    for text in (ONE, TWO):
        registry.register(session, "s", text, now=1)
    seen: list[str] = []

    def see(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", see)
    found = store.load_versions(session, "s")
    event.remove(engine, "before_cursor_execute", see)
    assert [(place.number, stored.text) for place, stored in found] == [(2, TWO), (1, ONE)]
    assert len(seen) == 1


def test_terms_are_of_one_subject_or_of_the_whole(session: Session) -> None:
    store.save_level(session, "s", "FULL")
    store.save_mode(session, "", "READONLY")
    assert store.load_terms(session, "s") == store.SubjectTerms("FULL", None)
    assert store.load_terms(session, "") == store.SubjectTerms(None, "READONLY")
    assert store.load_terms(session, "other") == store.SubjectTerms()
    assert store.load_subjects(session, deleted=True) == ()


def test_the_largest_id(session: Session) -> None:
    assert store.load_largest_id(session) == 0
    made = registry.register(session, "s", ONE, now=1)
    assert store.load_largest_id(session) == made.id
