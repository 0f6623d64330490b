import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import Session, SQLModel

from gateway.database import Database
from gateway.errors import RevisionError
from gateway.migrations import history


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def set_revision(session: Session, revision: str) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})


def test_head_is_what_alembic_says_without_loading_it(database_url: str) -> None:
    assert history.head() == ScriptDirectory(str(history.FOLDER)).get_current_head()
    with closing(Database(database_url)) as database, database.begin() as session:
        known = MigrationContext.configure(session.connection()).get_current_revision()
        assert history.current(session) == known == history.head()
    program = (
        "import sys; from gateway.bootstrap import program; from gateway.migrations import history; "
        "history.head(); print('alembic' in sys.modules)"
    )
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_upgraded_database_has_exactly_what_the_rows_say(database: Database) -> None:
    with database.begin() as session:
        assert history.upgrade(session) is None
        assert history.verify_revision(session) == history.head()
        assert history.differences(session) == []


def indexes(session: Session) -> list[str]:
    """How each index is defined, its condition too, of which the comparison by alembic says nothing."""
    if session.get_bind().dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
    else:
        query = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef"
    found = session.execute(text(query)).scalars()
    return [one.replace('"', "") for one in found if "alembic_version" not in one]


def test_indexes_of_an_upgraded_database_are_those_of_the_rows(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        upgraded = indexes(session)
        session.rollback()
        SQLModel.metadata.create_all(session.connection())
        assert upgraded == indexes(session)
    assert any("WHERE" in one for one in upgraded)


def test_postgresql_tries_to_compress_no_receipt(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        if session.get_bind().dialect.name == "postgresql":
            query = (
                "SELECT attstorage FROM pg_attribute WHERE attrelid = CAST(:of AS regclass) AND attname = :it"
            )
            found = session.execute(text(query), {"of": "gateway_claim", "it": "receipt"})
            assert found.scalar_one() == "e", "external"


def test_difference_between_tables_and_rows_is_found(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        session.execute(text("ALTER TABLE gateway_meta ADD COLUMN extra INTEGER"))
        assert len(history.differences(session)) == 1


def test_upgrade_is_one_transaction(database: Database) -> None:
    def upgrade_and_stop() -> None:
        with database.begin() as session:
            history.upgrade(session)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        upgrade_and_stop()
    with database.begin() as session:
        assert inspect(session.connection()).get_table_names() == []


def test_second_upgrade_changes_nothing(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
    with database.begin() as session:
        session.execute(text("INSERT INTO gateway_meta VALUES ('origin', 'x')"))
        assert history.upgrade(session) == history.head()
        assert session.execute(text("SELECT value FROM gateway_meta")).scalar_one() == "x"


def test_empty_database_is_refused_with_the_command_that_mends_it(database: Database) -> None:
    with database.begin() as session, pytest.raises(RevisionError, match="gateway migrate"):
        history.verify_revision(session)


def test_database_behind_is_refused(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        set_revision(session, "0000")
        with pytest.raises(RevisionError, match=r"behind.*gateway migrate"):
            history.verify_revision(session)


def test_database_one_ahead_is_accepted_and_left_alone(database: Database) -> None:
    one_ahead = f"{int(history.head()) + 1:04}"
    with database.begin() as session:
        history.upgrade(session)
        set_revision(session, one_ahead)
        assert history.verify_revision(session) == one_ahead
        assert history.upgrade(session) == one_ahead
        assert history.current(session) == one_ahead


def test_database_two_ahead_is_refused(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        set_revision(session, f"{int(history.head()) + 2:04}")
        for ask in (history.verify_revision, history.upgrade):
            with pytest.raises(RevisionError, match=r"ahead.*newer program"):
                ask(session)


def test_revision_of_another_program_is_refused(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        set_revision(session, "ae1027a6acf")
        for ask in (history.verify_revision, history.upgrade):
            with pytest.raises(RevisionError, match="ae1027a6acf"):
                ask(session)


def test_tables_without_a_revision_are_refused(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        session.execute(text("DROP TABLE alembic_version"))
        with pytest.raises(RevisionError, match="no revision"):
            history.upgrade(session)


def test_history_is_one_line_of_numbers() -> None:
    found = sorted(script.revision for script in ScriptDirectory(str(history.FOLDER)).walk_revisions())
    assert found == [f"{number:04}" for number in range(1, len(found) + 1)]


def test_every_table_belongs_to_a_package(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        names = set(inspect(session.connection()).get_table_names()) - {"alembic_version"}
    assert {name.split("_")[0] for name in names} <= {"gateway", "partners", "schemas", "audit"}
