import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import pytest_asyncio

from gateway.http.gates import GATES
from gateway.http.openapi.document import Place, Reader, compose
from gateway.http.openapi.operations import operation_ids
from gateway.http.openapi.page import render
from tests.builders import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """What a page holds; a tag that is not closed where it must be is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        assert len(named) == len(attrs), f"an attribute of {tag} stands twice"
        self.found.append((tag, named))
        self.ids += [text for name, text in attrs if name == "id" and text]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [named for one, named in self.found if one == tag]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("page")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(house: House) -> Page:
    async with house.client(private=False) as client:
        answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Page(answer.text)


async def test_every_operation_has_an_anchor_and_a_link_to_it(page: Page) -> None:
    links = {named.get("href") for named in page.all("a")}
    for name in operation_ids(GATES).values():
        assert name in page.ids
        assert f"#{name}" in links


async def test_every_link_leads_somewhere_and_no_id_stands_twice(house: House, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    links = [str(named["href"]) for named in page.all("a")]
    assert [one for one in links if one.startswith("#") and one[1:] not in page.ids] == []
    async with house.client() as client:
        for path in {one for one in links if not one.startswith("#")}:
            assert (await client.get(path)).status_code == 200


async def test_nothing_is_fetched_from_elsewhere(house: House, page: Page) -> None:
    loaded = {str(named[name]) for _, named in page.found for name in ("src", "href") if name in named}
    assert [one for one in loaded if not one.startswith(("/docs/", "/errors/", "#", "data:,"))] == []
    async with house.client() as client:
        for path, kind in (("/docs/page.css", "text/css"), ("/docs/page.js", "text/javascript")):
            answer = await client.get(path)
            assert answer.headers["content-type"].startswith(kind)
            assert re.findall(r"https?:|//[a-z]|@import|url\(", answer.text.partition("use strict")[2]) == []


async def test_no_script_and_no_style_stands_in_the_page(page: Page) -> None:
    assert [named for named in page.all("script") if "src" not in named] == []
    assert page.all("style") == []
    for _, named in page.found:
        assert [name for name in named if name == "style" or name.startswith("on")] == []


async def test_browsers_are_told_to_run_and_load_only_what_is_ours(house: House) -> None:
    async with house.client() as client:
        headers = (await client.get("/docs")).headers
    policy = dict(one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"


async def test_people_find_their_way_by_keyboard_and_screen_reader(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert [named["content"] for named in page.all("meta") if named.get("name") == "viewport"] == [
        "width=device-width, initial-scale=1"
    ]
    first = page.all("a")[0]
    assert first["href"] == "#operations"
    assert len(page.all("main")) == len(page.all("h1")) == len(page.all("title")) == 1
    assert all("aria-label" in named for named in page.all("nav"))
    assert all("scope" in named for named in page.all("th"))
    # What scrolls sideways can be reached by keyboard.
    assert all(named.get("tabindex") == "0" for named in page.all("pre"))
    order = [int(tag[1]) for tag, _ in page.found if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(order))


async def test_words_that_look_like_markup_are_words() -> None:
    document = compose(GATES, Place("https://gw.example", "<script>alert(1)</script>"), Reader())
    text = render(document).decode()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
