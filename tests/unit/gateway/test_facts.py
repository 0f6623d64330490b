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


def test_a_number_that_only_grows_is_what_it_was_at_most(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as session:
        assert facts.raise_to(session, "longest", 0) == 0
        assert facts.load(session, "longest") is None
        assert facts.raise_to(session, "longest", 9) == 9
        assert facts.raise_to(session, "longest", 5) == 9
        assert facts.raise_to(session, "longest", 11) == 11
    with database.begin() as session:
        assert facts.load(session, "longest") == "11"
    database.close()
