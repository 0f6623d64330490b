"""A partner's receiver in the test's own process: it keeps every POST and answers 204."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.post_server import NO_CONTENT, taking_posts


@dataclass
class Hook:
    """All that was posted to it, headers and body, in the order of arrival."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def webhook_ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.posts]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in list(self.posts)]


@contextmanager
def listening() -> Iterator[Hook]:
    """A receiver on a free port; it ends with the block."""
    hook = Hook()

    def take(_: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        hook.posts.append((dict(headers), body))
        return NO_CONTENT, 0.0

    with taking_posts(take) as url:
        hook.url = f"{url}/hook"
        yield hook
