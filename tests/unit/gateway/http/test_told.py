from gateway.http.shapes import TEXT
from gateway.http.told import PAGED, Reply, Spoken, shows, tells


@tells(
    "greet",
    "Open",
    "Greet somebody",
    shows(TEXT, "A greeting.", media="text/plain", Retry_After="Seconds."),
    parameters=PAGED,
    errors=("not_found",),
)
async def greet(name: str) -> str:
    return f"Hello {name}"


async def test_words_change_nothing_about_what_answers() -> None:
    assert isinstance(greet, Spoken)
    assert await greet("you") == "Hello you"


def test_words_are_as_they_were_given() -> None:
    told = greet.told
    assert (told.operation, told.tag, told.summary) == ("greet", "Open", "Greet somebody")
    assert told.replies == (Reply(200, "A greeting.", {"text/plain": TEXT}, {"Retry-After": "Seconds."}),)
    assert [one.name for one in told.parameters] == ["limit", "cursor"]
    assert told.errors == {"not_found"}
    assert told.body is None
