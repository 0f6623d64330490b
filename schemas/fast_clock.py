"""Timestamps put together from their parts, by table: text to number and back, as the reference has them.

Only the usual shape is known here: YYYY-MM-DDTHH:MM:SS with a fraction of no digit or of three, and Z or an
offset. Any other goes to the reference's leaf. Dates are learnt from the reference when they come, a few
thousand at most.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from schemas.leaf import Leaf

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_MOST_DAYS: Final = 4_096
_MINUTES: Final = [f"T{hour:02}:{minute:02}" for hour in range(24) for minute in range(60)]
_SECONDS: Final = [f":{second:02}" for second in range(60)]
_DAY_SECONDS: Final = 86_400
_THOUSANDTHS: Final = [f".{thousandth:03}" for thousandth in range(1_000)]
_MILLIS: Final = 3
_ENDS: Final = [f'{thousandth}Z"' for thousandth in _THOUSANDTHS]


class Clock:
    """The parts of timestamps in units of 10**-digits seconds; safe to use from several threads."""

    def __init__(self, digits: int) -> None:
        """`digits`: 3 or 6."""
        self._digits = digits
        unit: int = 10**digits
        self._unit = unit
        self._days: dict[str, int] = {}
        self._dates: dict[int, str] = {}
        self._minutes = {text: number * 60 * unit for number, text in enumerate(_MINUTES)}
        self._seconds = {text: number * unit for number, text in enumerate(_SECONDS)}
        self._ends = {"Z": 0} | {
            f"{text}Z": number * unit // 1_000 for number, text in enumerate(_THOUSANDTHS)
        }
        self._offsets = {
            f"{sign}{text[1:]}": units * factor
            for text, units in self._minutes.items()
            for sign, factor in (("+", 1), ("-", -1))
        }

    def parser(self, leaf: Leaf) -> Callable[[str | int], int]:
        """The parser of a timestamp with `leaf`, faster; it raises what that one raises."""
        parse = leaf.parse
        days, minutes, seconds = self._days, self._minutes, self._seconds
        ends, offsets = self._ends, self._offsets

        def parse_moment(value: str | int) -> int:
            if not isinstance(value, str):
                return int(parse(value))
            try:
                return days[value[:10]] + minutes[value[10:16]] + seconds[value[16:19]] + ends[value[19:]]
            except KeyError:
                return parse_other(value)

        def parse_other(value: str) -> int:
            day = value[:10]
            if day not in days:
                _keep(days, day, int(parse(f"{day}T00:00:00Z")))
            try:
                clock = minutes[value[10:16]] + seconds[value[16:19]] + ends[f"{value[19:-6]}Z"]
                return int(parse(days[day] + clock - offsets[value[-6:]]))
            except KeyError:
                return int(parse(value))

        return parse_moment

    def writer(self, leaf: Leaf) -> Callable[[int], str]:
        """The JSON text of a timestamp with `leaf`, faster."""
        dates, unit, digits = self._dates, self._unit, self._digits
        ends = _ENDS if digits == _MILLIS else ()

        def write_moment(units: int) -> str:
            second, part = divmod(units, unit)
            day, second = divmod(second, _DAY_SECONDS)
            try:
                return f"{dates[day]}{_MINUTES[second // 60]}{_SECONDS[second % 60]}{ends[part]}"
            except (KeyError, IndexError):
                return write_other(day, second, part)

        def write_other(day: int, second: int, part: int) -> str:
            if day not in dates:
                _keep(dates, day, leaf.json(day * _DAY_SECONDS * unit)[:11])
            clock = _MINUTES[second // 60] + _SECONDS[second % 60]
            return f'{dates[day]}{clock}.{part:0{digits}}Z"'

        return write_moment


def _keep(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Remember, and forget all where it becomes too much."""
    if len(known) >= _MOST_DAYS:
        known.clear()
    known[key] = value


CLOCKS: Final = {"timestamp-millis": Clock(3), "timestamp-micros": Clock(6)}
"""By logical type."""
