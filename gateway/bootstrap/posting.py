"""Metrics of a program that may be one worker of several: each posts what it counts, and answers for all."""

import asyncio
from typing import Final

from gateway.bootstrap.workers import Seat
from gateway.metrics import Metrics, Readings, add_up
from gateway.waits import rest

POST_SECONDS: Final = 0.5
"""How old the others' part of an answer may be."""


class Postings:
    """A role; `seat` None: there is nobody else."""

    def __init__(self, metrics: Metrics, seat: Seat | None) -> None:
        self._metrics = metrics
        self._seat = seat
        # Of those who sat here before and died: a sum must not fall.
        self._before: Readings = {} if seat is None else seat.board.read(seat.number)

    async def run(self, stop: asyncio.Event) -> None:
        """Post now and then, and at the end."""
        while not stop.is_set():
            self._post()
            await rest(stop, POST_SECONDS)
        self._post()

    def render(self) -> bytes:
        """The text of `/metrics`."""
        if self._seat is None:
            return self._metrics.render()
        return self._metrics.render([self._before, *self._seat.board.read_others(self._seat.number)])

    def _post(self) -> None:
        if self._seat is not None:
            self._seat.board.post(self._seat.number, add_up([self._before, self._metrics.readings()]))
