import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from schemas.errors import SchemaError
from schemas.remote import Access, Patience, RemoteRegistry, is_same
from schemas.remote_answers import RemoteAnswerError, RemoteAwayError, RemoteRefusedError
from schemas.schema import parse_schema

URL = "http://registry.example/base"
ORDER = {"type": "record", "name": "a.Order", "fields": [{"name": "id", "type": "string"}]}
TEXT = json.dumps(ORDER)
SCHEMA = parse_schema(TEXT)
SUBJECT = "partners.acme/in-a.Order"
GUID = SCHEMA.guid

Reply = Callable[[httpx.Request], httpx.Response]


class Far:
    """A registry made up: `replies` by method and path; what is not in it is a proxy's 404."""

    def __init__(self, **more: Any) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[httpx.Request] = []
        self.now = 0.0
        self.pauses: list[float] = []
        access = Access(more.pop("urls", (URL,)), more.pop("user", None), more.pop("token", None))
        self.registry = RemoteRegistry(
            access,
            ticks=lambda: self.now,
            pause=self.pauses.append,
            patience=Patience(**more),
            transport=httpx.MockTransport(self._reply),
        )

    def on(self, question: str, *replies: Reply) -> "Far":
        """Reply one after the other; the last one again and again."""
        self.replies[question] = list(replies)
        return self

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.raw_path.decode().removeprefix("/base")
        left = self.replies.get(f"{request.method} {path}", [lambda _: httpx.Response(404, text="<html>")])
        made: httpx.Response = (left.pop(0) if len(left) > 1 else left[0])(request)
        if not made.is_stream_consumed:
            return made
        # As from a connection: the client is to read it.
        return httpx.Response(made.status_code, headers=made.headers, stream=httpx.ByteStream(made.content))


def says(body: object, status: int = 200) -> Reply:
    return lambda _: httpx.Response(status, json=body)


def raises(error: Exception) -> Reply:
    def reply(_: httpx.Request) -> httpx.Response:
        raise error

    return reply


LOOK_UP = "POST /subjects/partners.acme%2Fin-a.Order"
BY_ID = "GET /schemas/ids/7"
PLACE = says({"subject": SUBJECT, "version": 2, "id": 7, "schema": TEXT})
HELD = says({"schema": TEXT})
UNKNOWN = says({"error_code": 40403, "message": "Schema not found"}, 404)


def test_a_look_up_finds_id_number_and_the_schema_as_it_is_held() -> None:
    far = Far().on(LOOK_UP, PLACE).on(BY_ID, HELD)
    found = far.registry.look_up(SUBJECT, SCHEMA)
    assert found is not None
    assert (found.id, found.number, found.schema) == (7, 2, SCHEMA)
    body = json.loads(far.asked[0].content)
    assert body == {"schema": TEXT, "schemaType": "AVRO", "references": []}
    assert far.asked[0].headers["content-type"] == "application/vnd.schemaregistry.v1+json"


def test_what_is_not_there_is_none_and_is_asked_for_again() -> None:
    far = Far().on(LOOK_UP, UNKNOWN).on(BY_ID, UNKNOWN, HELD)
    assert far.registry.look_up(SUBJECT, SCHEMA) is None
    assert far.registry.by_id(7) is None
    assert far.registry.by_id(7) == SCHEMA


def test_what_an_id_stands_for_is_asked_for_once() -> None:
    far = Far().on(BY_ID, HELD)
    assert far.registry.by_id(7) == far.registry.by_id(7) == SCHEMA
    assert len(far.asked) == 1


def test_a_schema_is_registered_and_then_found() -> None:
    far = Far().on(f"{LOOK_UP}/versions", says({"id": 7})).on(LOOK_UP, PLACE).on(BY_ID, HELD)
    assert far.registry.register(SUBJECT, SCHEMA).id == 7


def test_a_registry_that_finds_another_id_than_it_gave_is_not_believed() -> None:
    far = Far().on(f"{LOOK_UP}/versions", says({"id": 8})).on(LOOK_UP, PLACE).on(BY_ID, HELD)
    with pytest.raises(RemoteAnswerError, match="id 8"):
        far.registry.register(SUBJECT, SCHEMA)


@pytest.mark.parametrize(
    "held",
    [
        {**ORDER, "name": "a.Other"},
        {**ORDER, "fields": [{"name": "id", "type": {"type": "string", "logicalType": "uuid"}}]},
        {**ORDER, "fields": [{"name": "id", "type": "string", "default": "x"}]},
        {**ORDER, "fields": [{"name": "id", "type": "string", "aliases": ["was"]}]},
    ],
)
def test_an_id_that_stands_for_something_else_is_not_believed(held: object) -> None:
    far = Far().on(LOOK_UP, PLACE).on(BY_ID, says({"schema": json.dumps(held)}))
    with pytest.raises(RemoteAnswerError, match="another schema"):
        far.registry.look_up(SUBJECT, SCHEMA)


def test_a_schema_written_otherwise_is_the_same() -> None:
    other = json.dumps({**ORDER, "name": "Order", "namespace": "a", "doc": "words"}, indent=1)
    far = Far().on(LOOK_UP, PLACE).on(BY_ID, says({"schema": other}))
    found = far.registry.look_up(SUBJECT, SCHEMA)
    assert found is not None
    assert (found.schema.text, is_same(found.schema, SCHEMA)) == (other, True)


def test_a_refusal_is_told_in_its_own_words_without_what_does_not_print() -> None:
    refusal = says({"error_code": 409, "message": "is incompatible\x1b[31m\n" + "x" * 2_000}, 409)
    with pytest.raises(RemoteRefusedError) as caught:
        Far().on(f"{LOOK_UP}/versions", refusal).registry.register(SUBJECT, SCHEMA)
    assert caught.value.is_incompatible
    assert caught.value.text.isprintable()
    assert len(caught.value.text) < 600


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_apart(status: int) -> None:
    bare: Reply = lambda _: httpx.Response(status, text="no")  # noqa: E731 - a constant of a callable type
    with pytest.raises(RemoteRefusedError) as caught:
        Far().on(BY_ID, bare).registry.by_id(7)
    assert caught.value.is_about_us


def test_credentials_go_with_each_question_and_into_no_repr() -> None:
    basic = Far(user=("key", "geheim")).on(BY_ID, HELD)
    bearer = Far(token="geheim").on(BY_ID, HELD)
    for far in (basic, bearer):
        far.registry.by_id(7)
        assert "geheim" not in repr(Access((URL,), ("key", "geheim"), "geheim"))
    assert basic.asked[0].headers["authorization"] == "Basic a2V5OmdlaGVpbQ=="
    assert bearer.asked[0].headers["authorization"] == "Bearer geheim"


def test_a_registry_that_stumbles_is_asked_again() -> None:
    far = Far().on(BY_ID, says({}, 500), raises(httpx.ConnectError("refused")), HELD)
    assert far.registry.by_id(7) == SCHEMA
    assert len(far.pauses) == 2


def test_a_registry_that_keeps_failing_is_away() -> None:
    far = Far().on(BY_ID, says({"error_code": 50001, "message": "store"}, 500))
    with pytest.raises(RemoteAwayError, match="status 500"):
        far.registry.by_id(7)
    assert len(far.asked) == 3


def test_the_next_url_is_asked_where_the_first_does_not_answer() -> None:
    far = Far(urls=("http://one.example/base", "http://two.example/base/"))
    far.on(BY_ID, raises(httpx.ConnectTimeout("slow")), HELD)
    assert far.registry.by_id(7) == SCHEMA
    assert [one.url.host for one in far.asked] == ["one.example", "two.example"]
    assert far.pauses == []


def test_all_the_asking_together_has_an_end() -> None:
    far = Far()

    def slow(_: httpx.Request) -> httpx.Response:
        far.now += 6
        raise httpx.ReadTimeout("slow")

    with pytest.raises(RemoteAwayError, match="ReadTimeout"):
        far.on(BY_ID, slow).registry.by_id(7)
    assert len(far.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: httpx.Response(200, content=b"not json"),
        lambda _: httpx.Response(200, content=b"[" * 100_000),
        lambda _: httpx.Response(200, content=b"{}"),
        lambda _: httpx.Response(200, content=b"x" * 1_048_577),
        lambda _: httpx.Response(302, headers={"location": "http://evil.example/"}),
        lambda _: httpx.Response(
            200, stream=httpx.ByteStream(b"\x1f\x8b"), headers={"content-encoding": "gzip"}
        ),
        lambda _: httpx.Response(404, text="<html>proxy</html>"),
        lambda _: httpx.Response(418, json={"error_code": True, "message": 1}),
        says({"schema": 7}),
        says({"schema": TEXT, "references": [{"name": "x", "subject": "s", "version": 0}]}),
        says({"schema": TEXT, "references": [None]}),
        says({"schema": TEXT, "references": [{}] * 101}),
        says({"schema": TEXT, "schemaType": 1}),
    ],
)
def test_what_no_registry_answers_is_no_answer(reply: Reply) -> None:
    far = Far().on(BY_ID, reply)
    with pytest.raises(RemoteAnswerError):
        far.registry.by_id(7)
    assert len(far.asked) == 1


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ({"schema": '{"type": "record"}'}, "name"),
        ({"schema": "not json"}, "syntax"),
        ({"schema": TEXT, "schemaType": "PROTOBUF"}, "kind"),
        ({"schema": TEXT, "references": [{"name": "a.X", "subject": "s", "version": 1}]}, "reference"),
    ],
)
def test_what_must_not_be_used_is_told_apart_from_a_wrong_answer(answer: object, rule: str) -> None:
    far = Far().on(BY_ID, says(answer)).on("GET /subjects/s/versions/1?deleted=true", UNKNOWN)
    with pytest.raises(SchemaError) as caught:
        far.registry.by_id(7)
    assert caught.value.rule == rule


def test_what_a_schema_leans_on_is_fetched_too_each_once() -> None:
    def record(name: str, *types: str) -> str:
        fields = [{"name": f"f{at}", "type": kind} for at, kind in enumerate(types)]
        return json.dumps({"type": "record", "name": name, "fields": fields})

    def link(name: str) -> dict[str, Any]:
        return {"name": name, "subject": name, "version": 1}

    far = Far().on(
        BY_ID, says({"schema": record("a.Top", "a.B", "a.C"), "references": [link("a.B"), link("a.C")]})
    )
    far.on(
        "GET /subjects/a.B/versions/1?deleted=true",
        says({"schema": record("a.B", "a.C"), "references": [link("a.C")]}),
    )
    far.on("GET /subjects/a.C/versions/1?deleted=true", says({"schema": record("a.C", "int")}))
    found = far.registry.by_id(7)
    assert found is not None
    assert [one.name for one in found.references] == ["a.B", "a.C"]
    assert len(far.asked) == 3


def test_schemas_that_lean_on_each_other_in_a_circle_are_refused() -> None:
    link = {"name": "a.B", "subject": "a.B", "version": 1}
    far = Far().on(BY_ID, says({"schema": TEXT, "references": [link]}))
    far.on("GET /subjects/a.B/versions/1?deleted=true", says({"schema": TEXT, "references": [link]}))
    with pytest.raises(SchemaError, match="circle"):
        far.registry.by_id(7)


def test_a_guid_is_unknown_where_the_registry_knows_none() -> None:
    far = Far().on(f"GET /schemas/guids/{GUID}", says({"error_code": 404, "message": "HTTP 404"}, 404))
    assert far.registry.by_guid(GUID) is None
    assert Far().on(f"GET /schemas/guids/{GUID}", HELD).registry.by_guid(GUID) == SCHEMA


COMPARED = "POST /compatibility/subjects/partners.acme%2Fin-a.Order/versions"


def test_a_comparison_tells_why_not() -> None:
    no = says({"is_compatible": False, "messages": ["READER_FIELD_MISSING at /fields/0", 7]})
    assert Far().on(f"{COMPARED}?verbose=true", no).registry.compare(SUBJECT, SCHEMA) == (
        "READER_FIELD_MISSING at /fields/0",
    )
    silent = says({"is_compatible": False})
    assert len(Far().on(f"{COMPARED}?verbose=true", silent).registry.compare(SUBJECT, SCHEMA)) == 1


def test_with_nothing_to_compare_with_everything_is_compatible() -> None:
    nothing = says({"error_code": 40401, "message": "Subject not found"}, 404)
    assert Far().on(f"{COMPARED}?verbose=true", nothing).registry.compare(SUBJECT, SCHEMA) == ()


def test_an_older_registry_compares_with_the_newest_version() -> None:
    far = Far().on(f"{COMPARED}?verbose=true", says({"error_code": 405, "message": "no"}, 405))
    far.on(f"{COMPARED}/latest?verbose=true", says({"is_compatible": True}))
    assert far.registry.compare(SUBJECT, SCHEMA) == ()


def test_the_newest_version_is_read_with_its_place() -> None:
    latest = "GET /subjects/partners.acme%2Fin-a.Order/versions/latest"
    found = Far().on(latest, PLACE).registry.latest(SUBJECT)
    assert found is not None
    assert (found.id, found.number) == (7, 2)
    assert Far().on(latest, UNKNOWN).registry.latest(SUBJECT) is None


def test_health_asks_for_little() -> None:
    Far().on("GET /schemas/types", says(["AVRO"])).registry.health()
    old = Far().on("GET /schemas/types", says({"error_code": 404, "message": "no"}, 404))
    old.on("GET /subjects?limit=1", says([])).registry.health()
    with pytest.raises(RemoteAnswerError):
        Far().on("GET /schemas/types", says({})).registry.health()
    assert Far().on("GET /mode", says({"mode": "READONLY"})).registry.mode() == "READONLY"


def test_what_is_asked_within_a_time_takes_no_longer_however_many_questions() -> None:
    far = Far()

    def slow(request: httpx.Request) -> httpx.Response:
        far.now += 2
        return HELD(request)

    for number in (7, 8, 9):
        far.on(f"GET /schemas/ids/{number}", slow)
    with far.registry.within(3):
        assert far.registry.by_id(7) == SCHEMA
        with pytest.raises(RemoteAwayError, match="slowly"):
            far.registry.by_id(8)
        with pytest.raises(RemoteAwayError, match="no time"):
            far.registry.by_id(9)
    assert len(far.asked) == 2
    assert far.registry.by_id(9) == SCHEMA
