"""Of uvicorn's connections: what its class sets, a parser as it makes one, an address that they share."""

from functools import lru_cache
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What uvicorn's class sets. Without slots each connection had a dictionary of more than a kilobyte.
INHERITED: Final = (
    "access_log", "access_logger", "app", "app_state", "asgi_version", "config", "connections", "cycle",
    "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline",
    "root_path", "scheme", "scope", "server", "client", "server_state", "tasks", "timeout_keep_alive",
    "timeout_keep_alive_task", "transport", "url", "ws_protocol_class",
)  # fmt: skip


@lru_cache(64)
def same_address(server: tuple[str, int | None] | None) -> tuple[str, int | None] | None:
    """An address of ours: all connections to it share one copy."""
    return server


def new_parser(connection: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """A parser as uvicorn makes it for a connection that begins."""
    made = httptools.HttpRequestParser(connection)
    made.set_dangerous_leniencies(lenient_data_after_close=True)
    return made
