import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from gateway.database import Database
from schemas import registration, registry, store
from schemas.errors import SchemaError, SubjectError
from schemas.refusal import RegistryError
from schemas.registration import LARGEST_GIVEN_ID, Prepared, Submission
from schemas.registry import Registered
from schemas.store import Link


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields), **more})


A = {"name": "a", "type": "int"}
B = {"name": "b", "type": "int"}
OPTIONAL = {"name": "b", "type": "int", "default": 0}
ONE = record(A)


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        yield one


def register(
    session: Session, subject: str, schema: str, *, is_strict: bool = True, **more: Any
) -> Registered:
    """Both steps, as in one transaction where nobody else is."""
    wanted = Submission(subject, schema, **more)
    prepared = registration.prepare(session, wanted, is_strict=is_strict)
    if isinstance(prepared, Registered):
        return prepared
    made = registration.complete(session, prepared, now=1)
    assert made is not None
    return made


def refused(session: Session, subject: str, schema: str, **more: Any) -> RegistryError:
    with pytest.raises(RegistryError) as error:
        register(session, subject, schema, **more)
    return error.value


def test_a_schema_becomes_the_next_version_and_stays_it(session: Session) -> None:
    first = register(session, "s", ONE)
    second = register(session, "s", record(A, OPTIONAL))
    again = register(session, "s", ONE)
    assert (first.version, first.is_new, second.version, second.is_new) == (1, True, 2, True)
    assert (again.version, again.id, again.is_new) == (1, first.id, False)


def test_a_schema_has_one_id_under_all_subjects(session: Session) -> None:
    assert register(session, "s", ONE).id == register(session, "t", ONE).id


def test_white_space_and_the_order_of_members_make_no_new_version(session: Session) -> None:
    first = register(session, "s", ONE)
    document = json.loads(ONE)
    turned = json.dumps(dict(reversed(document.items())), indent=2)
    assert turned != ONE
    assert register(session, "s", turned) == first.__class__(first.id, 1, first.schema, is_new=False)


def test_a_default_of_another_kind_makes_a_schema_of_its_own(session: Session) -> None:
    first = register(session, "s", record({"name": "a", "type": ["boolean", "int"], "default": True}))
    other = register(session, "s", record({"name": "a", "type": ["int", "boolean"], "default": 1}))
    assert first.id != other.id


def test_in_normal_form_the_text_is_the_same_however_it_was_written(session: Session) -> None:
    first = register(session, "s", json.dumps(json.loads(ONE), indent=3), normalize=True)
    other = register(session, "t", record(A), normalize=True)
    assert first.id == other.id
    assert first.schema.text == '{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}'


def test_what_breaks_the_level_is_refused_with_what_and_where(session: Session) -> None:
    register(session, "s", ONE)
    error = refused(session, "s", record(A, B))
    assert error.number == 409
    assert "Schema being registered is incompatible with an earlier schema" in error.text
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in error.details[0]
    assert "/fields/1" in error.details[0]
    assert error.details[1:] == (
        "{oldSchemaVersion: 1}",
        f"{{oldSchema: '{ONE}'}}",
        "{compatibility: 'BACKWARD'}",
    )


def test_transitive_levels_look_at_every_version_newest_first(session: Session) -> None:
    register(session, "s", ONE)
    register(session, "s", record())
    third = record({"name": "a", "type": "string", "default": ""})
    store.save_level(session, "s", "BACKWARD_TRANSITIVE")
    assert "{oldSchemaVersion: 1}" in refused(session, "s", third).details
    store.save_level(session, "s", "BACKWARD")
    assert register(session, "s", third).version == 3


def test_versions_that_are_deleted_do_not_count(session: Session) -> None:
    register(session, "s", ONE)
    store.mark_deleted(session, "s", [1], now=1)
    assert register(session, "s", record(A, B)).version == 2


def test_the_subjects_level_goes_before_that_of_the_whole(session: Session) -> None:
    register(session, "s", ONE)
    store.save_level(session, registration.WHOLE, "NONE")
    store.save_level(session, "s", "FULL")
    assert refused(session, "s", record(A, B)).number == 409
    store.save_level(session, "s", None)
    assert register(session, "s", record(A, B)).version == 2


def test_a_changed_logical_type_is_refused_unless_that_is_switched_off(session: Session) -> None:
    millis = record({"name": "a", "type": {"type": "long", "logicalType": "timestamp-millis"}})
    micros = millis.replace("millis", "micros")
    register(session, "s", millis)
    assert "LOGICAL_TYPE_MISMATCH" in refused(session, "s", micros).details[0]
    assert register(session, "s", micros, is_strict=False).version == 2


def test_a_deleted_schema_comes_back_as_a_new_version(session: Session) -> None:
    first = register(session, "s", ONE)
    store.mark_deleted(session, "s", [1], now=1)
    again = register(session, "s", ONE)
    assert (again.id, again.version, again.is_new) == (first.id, 2, True)


def test_numbers_are_not_used_again_even_after_deletion_for_good(session: Session) -> None:
    register(session, "s", ONE)
    register(session, "s", record(A, OPTIONAL))
    store.remove_versions(session, "s", [1, 2])
    assert register(session, "s", ONE).version == 3
    store.remove_versions(session, "s", [3])
    assert register(session, "s", ONE).version == 4


@pytest.mark.parametrize("mode", ["READONLY", "READONLY_OVERRIDE"])
def test_in_read_only_mode_what_is_there_is_found_and_nothing_is_added(session: Session, mode: str) -> None:
    first = register(session, "s", ONE)
    store.save_mode(session, registration.WHOLE, mode)
    assert register(session, "s", ONE).id == first.id
    assert refused(session, "s", record(A, OPTIONAL)).number == 42205


def test_a_subject_may_be_writable_in_a_registry_that_is_read_only_unless_that_overrides(
    session: Session,
) -> None:
    store.save_mode(session, "s", "READWRITE")
    store.save_mode(session, registration.WHOLE, "READONLY")
    assert register(session, "s", ONE).version == 1
    store.save_mode(session, registration.WHOLE, "READONLY_OVERRIDE")
    assert refused(session, "s", record()).number == 42205


def test_an_import_keeps_ids_and_numbers_and_compares_nothing(session: Session) -> None:
    store.save_mode(session, "s", "IMPORT")
    assert register(session, "s", ONE, schema_id=100, number=3).id == 100
    broken = register(session, "s", record(B), schema_id=70, number=2)
    assert (broken.id, broken.version) == (70, 2)
    assert [one.number for one in store.load_places(session, "s")] == [3, 2]
    again = register(session, "s", ONE, schema_id=100, number=3)
    assert (again.version, again.is_new) == (3, False)


def test_ids_go_on_behind_those_that_were_imported(session: Session) -> None:
    store.save_mode(session, "s", "IMPORT")
    register(session, "s", ONE, schema_id=100)
    assert register(session, "t", record(B)).id == 101
    register(session, "s", record(A, B), schema_id=50)
    assert register(session, "u", record(name="U")).id == 102


@pytest.mark.parametrize(
    ("more", "number"),
    [
        ({"schema_id": 7, "schema": record(B)}, 42207),
        ({"schema_id": 8, "schema": ONE}, 42207),
        ({"schema_id": LARGEST_GIVEN_ID + 1, "schema": record(B)}, 42207),
        ({"schema_id": 9, "number": 1, "schema": record(B)}, 42205),
        ({"schema_id": 7, "number": 2, "schema": ONE}, 42205),
        ({"schema": record(B)}, 42205),
    ],
)
def test_an_import_never_writes_over_what_is_there(
    session: Session, more: dict[str, Any], number: int
) -> None:
    store.save_mode(session, registration.WHOLE, "IMPORT")
    register(session, "s", ONE, schema_id=7, number=1)
    assert refused(session, "s", **more).number == number


def test_ids_are_given_in_import_mode_only(session: Session) -> None:
    assert refused(session, "s", ONE, schema_id=7).number == 42205
    assert refused(session, "s", ONE, number=7).number == 42205


def test_what_must_not_be_used_is_refused_before_anything_is_written(session: Session) -> None:
    with pytest.raises(SchemaError):
        register(session, "s", '{"type":"record"}')
    with pytest.raises(SubjectError):
        register(session, "", ONE)
    assert store.load_subjects(session, deleted=True) == ()


REFERRING = record({"name": "x", "type": "R"}, name="S")


def test_references_are_part_of_what_a_schema_is(session: Session) -> None:
    register(session, "r", ONE)
    made = register(session, "s", REFERRING, links=(Link("R", "r", 1),))
    assert [one.name for one in made.schema.references] == ["R"]
    found = registry.by_id(session, made.id)
    assert found == made.schema
    assert registry.by_guid(session, made.schema.guid) == made.schema
    assert store.load_referrers(session, "r", 1) == (made.id,)
    register(session, "q", ONE)
    assert register(session, "t", REFERRING, links=(Link("R", "q", 1),)).id != made.id


def test_the_newest_version_of_a_reference_is_named_by_its_number(session: Session) -> None:
    register(session, "r", ONE)
    register(session, "r", record(A, OPTIONAL))
    made = register(session, "s", REFERRING, links=(Link("R", "r", 0),))
    assert made.schema.references[0].version == 2


def test_a_reference_to_nothing_is_refused_with_its_place(session: Session) -> None:
    with pytest.raises(SchemaError, match="/references/0") as error:
        register(session, "s", REFERRING, links=(Link("R", "r", 1),))
    assert error.value.rule == "reference"
    register(session, "r", ONE)
    store.mark_deleted(session, "r", [1], now=1)
    with pytest.raises(SchemaError, match="/references/0"):
        register(session, "s", REFERRING, links=(Link("R", "r", 1),))


def test_what_refers_to_a_deleted_version_still_decodes(session: Session) -> None:
    register(session, "r", ONE)
    made = register(session, "s", REFERRING, links=(Link("R", "r", 1),))
    store.mark_deleted(session, "r", [1], now=1)
    assert registry.by_id(session, made.id) == made.schema


def test_look_up_finds_the_version_that_a_schema_is(session: Session) -> None:
    made = register(session, "s", ONE)
    stored, place = registration.look_up(session, Submission("s", json.dumps(json.loads(ONE), indent=1)))
    assert (stored.id, place.number) == (made.id, 1)
    with pytest.raises(RegistryError) as unknown_schema:
        registration.look_up(session, Submission("s", record(B)))
    with pytest.raises(RegistryError) as unknown_subject:
        registration.look_up(session, Submission("t", ONE))
    store.mark_deleted(session, "s", [1], now=1)
    with pytest.raises(RegistryError):
        registration.look_up(session, Submission("s", ONE))
    assert registration.look_up(session, Submission("s", ONE), deleted=True)[0].id == made.id
    assert (unknown_schema.value.number, unknown_subject.value.number) == (40403, 40401)


def test_a_subject_that_changed_since_is_compared_again(session: Session) -> None:
    prepared = registration.prepare(session, Submission("s", ONE), is_strict=True)
    assert isinstance(prepared, Prepared)
    register(session, "s", record(A, OPTIONAL))
    assert registration.complete(session, prepared, now=1) is None
    assert [one.number for one in store.load_places(session, "s")] == [1]


def test_a_mode_that_changed_since_refuses(session: Session) -> None:
    prepared = registration.prepare(session, Submission("s", ONE), is_strict=True)
    assert isinstance(prepared, Prepared)
    store.save_mode(session, "s", "READONLY")
    with pytest.raises(RegistryError, match="read-only"):
        registration.complete(session, prepared, now=1)


RACERS = 4


def racing(database_url: str, subject_of: Any) -> list[Registered]:
    """The same schema, registered by several processes' connections at the same moment."""
    gate = Barrier(RACERS)

    def race(number: int) -> Registered:
        database = Database(database_url)
        try:
            wanted = Submission(subject_of(number), ONE)
            with database.begin() as session:
                first = registration.prepare(session, wanted, is_strict=True)
            gate.wait(30)
            while isinstance(first, Prepared):
                with database.begin() as session:
                    made = registration.complete(session, first, now=1)
                if made is not None:
                    return made
                with database.begin() as session:
                    first = registration.prepare(session, wanted, is_strict=True)
            return first
        finally:
            database.close()

    with ThreadPoolExecutor(RACERS) as threads:
        return list(threads.map(race, range(RACERS)))


def test_registered_at_once_by_several_one_schema_is_one_version_with_one_id(database_url: str) -> None:
    made = racing(database_url, lambda _: "s")
    assert {(one.id, one.version) for one in made} == {(made[0].id, 1)}
    assert sum(one.is_new for one in made) == 1


def test_registered_at_once_under_several_subjects_one_schema_has_one_id(database_url: str) -> None:
    made = racing(database_url, lambda number: f"s{number}")
    assert len({one.id for one in made}) == 1


def test_an_earlier_program_reads_and_writes_beside_this_one(session: Session) -> None:
    """It names none of the new columns; what it wrote counts, and numbers go on."""
    first = register(session, "s", ONE)
    row = "INSERT INTO schemas_version (subject, number, schema_id, created_at) VALUES ('t', 1, :id, 1)"
    session.execute(text(row), {"id": first.id})
    assert [one.number for one in store.load_places(session, "t")] == [1]
    assert register(session, "t", record(A, OPTIONAL)).version == 2


def test_an_id_that_an_import_has_just_taken_is_passed_over(session: Session) -> None:
    """As while an import writes ids one after the other, on a database that counts by itself."""
    first = register(session, "s", ONE)
    row = (
        "INSERT INTO schemas_schema (id, text_sha256, guid, name, fingerprint, text, created_at) "
        "SELECT :id, :digest, guid, name, fingerprint, 'other', 1 FROM schemas_schema WHERE id = :first"
    )
    for number in (1, 2):
        values = {"id": first.id + number, "digest": bytes([number]) * 32, "first": first.id}
        session.execute(text(row), values)
    assert register(session, "t", record(B)).id == first.id + 3
