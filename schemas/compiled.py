"""What is compiled from a schema, each part when it is first asked for, and a shelf that bounds what is kept.

Ten thousand partners have thirty thousand codecs, few of which are busy at a time. A codec keeps its parts
while there is room; when there is none, those go that were not asked for since the shelf was last full, and
are compiled again when they are asked for again. The reference takes half a millisecond for that, a compiled
path several: so the first events of a codec go by the reference, and one that is seldom used stays with it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

from schemas.avro_reader import ReadAvro, compile_reader
from schemas.avro_type import AvroType
from schemas.check import Check, compile_check
from schemas.encoder import Encode, compile_encoder
from schemas.fast_avro import CheckAvro, compile_avro_path
from schemas.fast_json import EncodeJson, compile_json_path
from schemas.fast_pick import PickAll, compile_pick_all
from schemas.fast_text import PrintAvro, compile_text_path
from schemas.json_writer import Write, compile_writer
from schemas.leaf import JsonFlavour
from schemas.pointers import Pick, compile_pointers

MOST_TEXT: Final = 4 * 1024 * 1024
"""Bytes of schema texts whose parts are kept, per process: about 70 times as much memory at the most."""

PATIENCE: Final = 16
"""Data of one codec, each way, before a path is compiled for it; that costs as much as some forty save."""

_LIKE_ONE: Final = 1_024
"""Bytes that count as another datum."""


class Parts:
    """The reference's functions for one schema, and the compiled paths where it has them (else None)."""

    def __init__(
        self, root: AvroType, flavour: JsonFlavour, pointers: Sequence[str], *, patience: int = 0
    ) -> None:
        """`patience`: how many data each compiled path leaves to the reference before it is compiled."""
        self._root = root
        self._flavour: JsonFlavour = flavour
        self._pointers = tuple(pointers)
        if patience:
            for path in ("encode_json", "check_avro", "print_avro"):
                self.__dict__[path] = self._not_yet(path, patience)

    def _not_yet(self, path: str, patience: int) -> Callable[[bytes], Any]:
        """Stands for a path until it is worth its making; a large datum is worth it at once."""
        left = patience

        def leave(raw: bytes) -> Any:
            nonlocal left
            left -= 1 + len(raw) // _LIKE_ONE
            if left > 0:
                return None
            self.__dict__.pop(path, None)  # made when it is next asked for
            compiled = getattr(self, path) if left < 0 else None
            return None if compiled is None else compiled(raw)

        return leave

    @cached_property
    def check(self) -> Check:
        """JSON value to plain form: the judge."""
        return compile_check(self._root, self._flavour)

    @cached_property
    def encode(self) -> Encode:
        """Plain form to Avro."""
        return compile_encoder(self._root)

    @cached_property
    def read(self) -> ReadAvro:
        """Avro to plain form."""
        return compile_reader(self._root)

    @cached_property
    def write(self) -> Write:
        """Plain form to JSON."""
        return compile_writer(self._root, self._flavour)

    @cached_property
    def picks(self) -> tuple[tuple[str, Pick], ...]:
        """The text at each pointer of a datum in plain form."""
        return compile_pointers(self._root, self._pointers)

    @cached_property
    def pick_all(self) -> PickAll:
        """The same, for what took a compiled path."""
        return compile_pick_all(self._root, self._pointers)

    @cached_property
    def encode_json(self) -> EncodeJson | None:
        """JSON to Avro in one go."""
        return compile_json_path(self._root, self._flavour, self._pointers)

    @cached_property
    def check_avro(self) -> CheckAvro | None:
        """Whether a datum is canonical, in one go."""
        return compile_avro_path(self._root, self._pointers)

    @cached_property
    def print_avro(self) -> PrintAvro | None:
        """Avro to JSON in one go."""
        return compile_text_path(self._root, self._flavour, self._pointers)


class Place:
    """Where a codec finds its parts, if they are kept."""

    __slots__ = ("is_used", "parts", "weight")

    def __init__(self, weight: int) -> None:
        """`weight`: bytes of the schema's text."""
        self.weight = weight
        self.parts: Parts | None = None
        self.is_used = False


class Shelf:
    """The places that are filled; safe to use from several threads.

    No step leaves it in a state that harms: a place that two threads fill at once stands here twice, and is
    cleared once too often.
    """

    def __init__(self, most_text: int) -> None:
        """`most_text`: how much the schema texts of all filled places may weigh, in bytes."""
        self._most = most_text
        self._filled: deque[Place] = deque()

    def filled(self) -> int:
        """How many places are filled."""
        return len(self._filled)

    def fill(self, place: Place, parts: Parts) -> Parts:
        """Keep the parts of a place, and clear others where that is too much."""
        place.parts = parts
        place.is_used = False  # it has yet to be asked for again, unlike those that are busy
        self._filled.append(place)
        self._clear()
        return parts

    def _clear(self) -> None:
        """Clear the oldest places that were not used since they were last looked at."""
        filled = list(self._filled)
        excess = sum(place.weight for place in filled) - self._most
        for _ in range(2 * len(filled)):
            if excess <= 0 or len(self._filled) <= 1:
                return
            try:
                place = self._filled.popleft()
            except IndexError:
                return
            if place.is_used:
                place.is_used = False
                self._filled.append(place)
            else:
                place.parts = None
                excess -= place.weight
