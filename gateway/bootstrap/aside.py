"""Work that may block for ever, such as on a file of a server that is gone, and a program that ends anyway.

The threads of asyncio and of `concurrent.futures` are waited for when the program ends; these are not.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Run `work` on a thread of its own; what it raises is raised here. Cancelled, nobody waits for it."""
    future: Future[T] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=run, name="aside", daemon=True).start()
    return await asyncio.wrap_future(future)
