from pathlib import Path

from gateway import facts
from gateway.database import Database
from gateway.migrations import history


def test_the_first_value_of_a_fact_is_kept(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    with database.begin() as session:
        history.upgrade(session)
        assert facts.load(session, "origin") is None
        assert facts.keep(session, "origin", "https://one") == "https://one"
        assert facts.keep(session, "origin", "https://two") == "https://one"
        assert facts.load(session, "origin") == "https://one"
        assert facts.load(session, "other") is None
    database.close()
