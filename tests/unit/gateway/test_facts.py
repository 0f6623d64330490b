from gateway import facts
from gateway.database import Database


def test_the_first_value_of_a_fact_is_kept(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as session:
        assert facts.load(session, "origin") is None
        assert facts.keep(session, "origin", "https://one") == "https://one"
        assert facts.keep(session, "origin", "https://two") == "https://one"
        assert facts.load(session, "origin") == "https://one"
        assert facts.load(session, "other") is None
    database.close()
