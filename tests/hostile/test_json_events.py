"""JSON that was written to crash, stall or mislead: posted as a partner does, each with its fault."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hostile.json_texts import TEXTS_THAT_ARE_NONE
from tests.hostile.wire import CANARY, PATH, TEXTS, Wire, event, open_wire, verify_faults

RIGHT = event()
KIB_256 = 256 * 1024


def nest(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


def chain(depth: int) -> str:
    """Objects inside each other."""
    return '{"d":' * depth + "0" + "}" * depth


def unknown(text: str) -> bytes:
    """A right event with one member that no schema knows."""
    return event(f',"x":{text}')


NUMBERS: dict[str, tuple[bytes, str, str]] = {
    "int 2^31": (event(qty="2147483648"), "range", "/qty"),
    "int -2^31-1": (event(qty="-2147483649"), "range", "/qty"),
    "int 2^40": (event(qty="1099511627776"), "range", "/qty"),
    "int 2^63": (event(qty="9223372036854775808"), "range", "/qty"),
    "int 2^64": (event(qty="18446744073709551616"), "range", "/qty"),
    "int of 4,300 digits": (event(qty="1" * 4_300), "range", "/qty"),
    "int of 4,301 digits": (event(qty="1" * 4_301), "range", "/qty"),
    "int of -100,000 digits": (event(qty="-" + "1" * 100_000), "range", "/qty"),
    "int of 2,000 negative digits": (event(qty="-" + "1" * 2_000), "range", "/qty"),
    "int 1.0": (event(qty="1.0"), "type", "/qty"),
    "int 1.5": (event(qty="1.5"), "type", "/qty"),
    "int 1e2": (event(qty="1e2"), "type", "/qty"),
    "int 1E400": (event(qty="1E400"), "range", "/qty"),
    "int -0.0": (event(qty="-0.0"), "type", "/qty"),
    "int true": (event(qty="true"), "type", "/qty"),
    "int null": (event(qty="null"), "type", "/qty"),
    "int in quotes": (event(qty='"3"'), "type", "/qty"),
    "int in an array": (event(qty="[3]"), "type", "/qty"),
    "int in an object": (event(qty='{"int":3}'), "type", "/qty"),
    "int NaN": (event(qty="NaN"), "range", "/qty"),
    "long 2^63": (event(total="9223372036854775808"), "range", "/total"),
    "long -2^63-1": (event(total="-9223372036854775809"), "range", "/total"),
    "long 2^64-1": (event(total="18446744073709551615"), "range", "/total"),
    "long of 5,000 digits": (event(total="9" * 5_000), "range", "/total"),
    "long 1e3": (event(total="1e3"), "type", "/total"),
    "long 9007199254740993.0": (event(total="9007199254740993.0"), "type", "/total"),
    "double NaN": (event(ratio="NaN"), "range", "/ratio"),
    "double Infinity": (event(ratio="Infinity"), "range", "/ratio"),
    "double -Infinity": (event(ratio="-Infinity"), "range", "/ratio"),
    "double 1e999": (event(ratio="1e999"), "range", "/ratio"),
    "double -1e999": (event(ratio="-1e999"), "range", "/ratio"),
    "double 1E400": (event(ratio="1E400"), "range", "/ratio"),
    "double 1.8e308": (event(ratio="1.8e308"), "range", "/ratio"),
    "double 1e with twenty digits": (event(ratio="1e99999999999999999999"), "range", "/ratio"),
    "double 1e-with twenty digits": (event(ratio="1e-99999999999999999999"), "range", "/ratio"),
    "double 0e with twenty digits": (event(ratio="0e99999999999999999999"), "range", "/ratio"),
    "double of 1,001 characters": (event(ratio="0." + "1" * 999), "range", "/ratio"),
    "double of 100,000 characters": (event(ratio="0." + "0" * 100_000 + "1"), "range", "/ratio"),
    "double of an integer 2^63": (event(ratio="9223372036854775808"), "range", "/ratio"),
    "double in quotes": (event(ratio='"0.25"'), "type", "/ratio"),
    "double NaN in quotes": (event(ratio='"NaN"'), "type", "/ratio"),
    "double true": (event(ratio="true"), "type", "/ratio"),
    "float 3.5e38": (event(weight="3.5e38"), "range", "/weight"),
    "float 1e39": (event(weight="1e39"), "range", "/weight"),
    "float -1e300": (event(weight="-1e300"), "range", "/weight"),
    "float Infinity": (event(weight="Infinity"), "range", "/weight"),
    "boolean 1": (event(ok="1"), "type", "/ok"),
    "boolean 0": (event(ok="0"), "type", "/ok"),
    "boolean in quotes": (event(ok='"true"'), "type", "/ok"),
    "boolean null": (event(ok="null"), "type", "/ok"),
    "NaN in an array": (event(bits="[NaN]"), "range", "/bits/0"),
    "NaN in an unknown field": (unknown("[0,NaN]"), "range", "/x/1"),
    "1e999 in an unknown field": (unknown('{"y":1e999}'), "range", "/x/y"),
    "2^64 in an unknown field": (unknown("18446744073709551616"), "range", "/x"),
}

TEXTS_BEYOND: dict[str, tuple[bytes, str, str]] = {
    "a high surrogate": (event(note='"\\ud800"'), "encoding", "/note"),
    "a low surrogate": (event(note='"\\udc00"'), "encoding", "/note"),
    "a pair the wrong way round": (event(note='"\\udc00\\ud800"'), "encoding", "/note"),
    "two high surrogates": (event(note='"\\ud83d\\ud83d"'), "encoding", "/note"),
    "a surrogate in capitals": (event(note='"\\uDBFF"'), "encoding", "/note"),
    "a surrogate behind a pair": (event(note='"\\ud83d\\ude00\\ude00"'), "encoding", "/note"),
    "a surrogate in the event's id": (event(order_id='"\\ud800"'), "encoding", "/order_id"),
    "a surrogate in an enum": (event(state='"\\ud800"'), "encoding", "/state"),
    "a surrogate in a decimal": (event(price='"\\ud800"'), "encoding", "/price"),
    "a surrogate in a timestamp": (event(placed_at='"\\ud800"'), "encoding", "/placed_at"),
    "a surrogate in a union": (event(maybe='"\\ud800"'), "encoding", "/maybe"),
    "a surrogate in an array": (event(lines='[{"sku":"\\ud800","qty":1}]'), "encoding", "/lines/0/sku"),
    "a surrogate in a map": (event(tags='{"a":"\\ud800"}'), "encoding", "/tags/a"),
    "a surrogate as a map's key": (event(tags='{"\\ud800":"b"}'), "encoding", "/tags/?"),
    "a surrogate as a name": (event(',"\\ud800":1'), "encoding", "/?"),
    "a surrogate in an unknown field": (unknown('["\\ud800"]'), "encoding", "/x/0"),
    "a string of 256 KiB and a byte": (event(note=f'"{"a" * (KIB_256 + 1)}"'), "length", "/note"),
    "a string of 64 Ki astral characters": (event(note=f'"{"😀" * 65_537}"'), "length", "/note"),
    "the same in escapes": (event(note='"' + "\\ud83d\\ude00" * 65_537 + '"'), "length", "/note"),
    "bytes of 256 KiB and a byte": (event(raw=f'"{"AAAA" * 87_382}"'), "length", "/raw"),
    "a key of 256 KiB and a byte": (
        event(tags=f'{{"{"a" * (KIB_256 + 1)}":"b"}}'),
        "length",
        f"/tags/{'a' * 100}…",
    ),
    "a string null": (event(note="null"), "type", "/note"),
    "a string 1": (event(note="1"), "type", "/note"),
    "a string array": (event(note="[]"), "type", "/note"),
    "base64 of the URL alphabet": (event(raw='"_-8="'), "format", "/raw"),
    "base64 without padding": (event(raw='"AAE"'), "format", "/raw"),
    "base64 with too much padding": (event(raw='"AAE=="'), "format", "/raw"),
    "base64 of padding": (event(raw='"===="'), "format", "/raw"),
    "base64 with white space": (event(raw='"AA E="'), "format", "/raw"),
    "base64 with a line end": (event(raw='"AAE=\\n"'), "format", "/raw"),
    "base64 with text behind": (event(raw='"AAE=AAE="'), "format", "/raw"),
    "base64 of one character": (event(raw='"A"'), "format", "/raw"),
    "base64 beyond ASCII": (event(raw='"AAÉ="'), "format", "/raw"),
    "bytes as numbers": (event(raw="[1,2]"), "type", "/raw"),
    "fixed too short": (event(mark='"AAEC"'), "length", "/mark"),
    "fixed too long": (event(mark='"AAECAwQ="'), "length", "/mark"),
    "fixed empty": (event(mark='""'), "length", "/mark"),
    "fixed no base64": (event(mark='"\\u0000\\u0001\\u0002\\u0003"'), "format", "/mark"),
    "enum in lower case": (event(state='"paid"'), "enum", "/state"),
    "enum with a space": (event(state='"PAID "'), "enum", "/state"),
    "enum that is empty": (event(state='""'), "enum", "/state"),
    "enum by index": (event(state="1"), "type", "/state"),
    "enum by index -1": (event(state="-1"), "type", "/state"),
    "enum null": (event(state="null"), "type", "/state"),
    "enum with a Cyrillic letter": (event(state='"\u0420AID"'), "enum", "/state"),
    "enum of two": (event(state='["NEW","PAID"]'), "type", "/state"),
}

DECIMALS: dict[str, tuple[str, str]] = {
    "an exponent": ('"1e2"', "format"),
    "an exponent in capitals": ('"1E2"', "format"),
    "an exponent of ten million": ('"1E+10000000"', "format"),
    "a negative exponent": ('"1E-10000000"', "format"),
    "underscores": ('"1_000"', "format"),
    "a space before": ('" 1"', "format"),
    "a space behind": ('"1 "', "format"),
    "a line end behind": ('"1\\n"', "format"),
    "nothing": ('""', "format"),
    "NaN": ('"NaN"', "format"),
    "sNaN": ('"sNaN"', "format"),
    "Infinity": ('"Infinity"', "format"),
    "-inf": ('"-inf"', "format"),
    "Arabic digits": ('"٣"', "format"),
    "fullwidth digits": ('"\uff11\uff12"', "format"),
    "a fraction of Arabic digits": ('"1.٣"', "format"),
    "a plus sign": ('"+1"', "format"),
    "two signs": ('"--1"', "format"),
    "a sign behind": ('"1-"', "format"),
    "a typographic minus": ('"\u22121"', "format"),
    "a leading zero": ('"01.00"', "format"),
    "no digit before the point": ('".50"', "format"),
    "no digit behind the point": ('"1."', "format"),
    "two points": ('"1.2.3"', "format"),
    "a comma": ('"1,50"', "format"),
    "thousands": ('"1,000.00"', "format"),
    "a currency": ('"$1"', "format"),
    "hexadecimal": ('"0x1"', "format"),
    "a fraction": ('"1/2"', "format"),
    "per cent": ('"1%"', "format"),
    "11 digits before the point": ('"10000000000"', "precision"),
    "13 digits": ('"12345678901.23"', "precision"),
    "13 negative digits": ('"-12345678901.23"', "precision"),
    "three digits behind the point": ('"1.234"', "precision"),
    "a thousandth": ('"0.001"', "precision"),
    "999 nines": ('"' + "9" * 999 + '"', "precision"),
    "1,001 digits": ('"' + "9" * 1_001 + '"', "format"),
    "100,000 zeros behind the point": ('"0.' + "0" * 100_000 + '"', "format"),
    "a number of three digits behind the point": ("1.234", "precision"),
    "a number of 13 digits": ("12345678901.23", "precision"),
    "a number 1e10": ("1e10", "precision"),
    "a number 1e-3": ("1e-3", "precision"),
    "a number 1e300": ("1e300", "precision"),
    "a number 1e-300": ("1e-300", "precision"),
    "a number 1E+10000000": ("1E+10000000", "range"),
    "a number NaN": ("NaN", "range"),
    "a number beyond 64 bits": ("18446744073709551616", "range"),
    "an integer of 11 digits": ("10000000000", "precision"),
    "true": ("true", "type"),
    "null": ("null", "type"),
    "an object": ('{"bytes":"1"}', "type"),
}

TIMES: dict[str, tuple[str, str, str]] = {
    "a leap second": ("placed_at", '"2016-12-31T23:59:60Z"', "format"),
    "year 0": ("placed_at", '"0000-01-01T00:00:00Z"', "format"),
    "year 10000": ("placed_at", '"10000-01-01T00:00:00Z"', "format"),
    "a year with a sign": ("placed_at", '"+2026-11-22T00:00:00Z"', "format"),
    "a negative year": ("placed_at", '"-2026-11-22T00:00:00Z"', "format"),
    "before year 1 by its offset": ("placed_at", '"0001-01-01T00:00:00+00:01"', "range"),
    "after year 9999 by its offset": ("placed_at", '"9999-12-31T23:59:59-00:01"', "range"),
    "an offset of 24 hours": ("placed_at", '"2026-11-22T00:00:00+24:00"', "format"),
    "an offset of 60 minutes": ("placed_at", '"2026-11-22T00:00:00+01:60"', "format"),
    "an offset without a colon": ("placed_at", '"2026-11-22T00:00:00+0100"', "format"),
    "an offset of hours": ("placed_at", '"2026-11-22T00:00:00+01"', "format"),
    "an offset of seconds": ("placed_at", '"2026-11-22T00:00:00+01:00:00"', "format"),
    "a typographic minus": ("placed_at", '"2026-11-22T00:00:00\u221201:00"', "format"),
    "the name of a zone": ("placed_at", '"2026-11-22T00:00:00 UTC"', "format"),
    "a zone in brackets": ("placed_at", '"2026-11-22T00:00:00Z[Europe/Vienna]"', "format"),
    "two offsets": ("placed_at", '"2026-11-22T00:00:00Z+00:00"', "format"),
    "no offset": ("placed_at", '"2026-11-22T00:00:00"', "format"),
    "a date alone": ("placed_at", '"2026-11-22"', "format"),
    "a space for T": ("placed_at", '"2026-11-22 00:00:00Z"', "format"),
    "24:00": ("placed_at", '"2026-11-22T24:00:00Z"', "format"),
    "minute 60": ("placed_at", '"2026-11-22T23:60:00Z"', "format"),
    "no seconds": ("placed_at", '"2026-11-22T13:05Z"', "format"),
    "the basic form": ("placed_at", '"20261122T130500Z"', "format"),
    "a week date": ("placed_at", '"2026-W47-7T00:00:00Z"', "format"),
    "30 February": ("placed_at", '"2026-02-30T00:00:00Z"', "format"),
    "29 February of no leap year": ("placed_at", '"2100-02-29T00:00:00Z"', "format"),
    "month 13": ("placed_at", '"2026-13-01T00:00:00Z"', "format"),
    "a comma for the point": ("placed_at", '"2026-11-22T00:00:00,5Z"', "format"),
    "a point without digits": ("placed_at", '"2026-11-22T00:00:00.Z"', "format"),
    "finer than a millisecond": ("placed_at", '"2026-11-22T00:00:00.0001Z"', "precision"),
    "ten digits of a second": ("exact", '"2026-11-22T00:00:00.0123456789Z"', "precision"),
    "100,000 digits of a second": ("placed_at", f'"2026-11-22T00:00:00.{"1" * 100_000}Z"', "precision"),
    "Arabic digits": ("placed_at", '"٢٠٢٦-11-22T00:00:00Z"', "format"),
    "a space before": ("placed_at", '" 2026-11-22T00:00:00Z"', "format"),
    "a line end behind": ("placed_at", '"2026-11-22T00:00:00Z\\n"', "format"),
    "an email's date": ("placed_at", '"Sun, 22 Nov 2026 00:00:00 GMT"', "format"),
    "now": ("placed_at", '"now"', "format"),
    "nothing": ("placed_at", '""', "format"),
    "a fraction of seconds": ("placed_at", "1795352700.5", "type"),
    "millis beyond year 9999": ("placed_at", "253402300800000", "range"),
    "millis before year 1": ("placed_at", "-62135596800001", "range"),
    "micros for millis": ("placed_at", "1795352700000000000", "range"),
    "beyond 64 bits": ("placed_at", "9223372036854775808", "range"),
    "nanoseconds beyond 2262": ("exact", '"2262-04-11T23:47:16.854775808Z"', "range"),
    "nanoseconds before 1677": ("exact", '"1677-09-21T00:12:43.145224191Z"', "range"),
    "a local time with Z": ("here", '"2026-11-22T00:00:00Z"', "format"),
    "a local time with an offset": ("here", '"2026-11-22T00:00:00+01:00"', "format"),
    "a local time finer than a microsecond": ("here", '"2026-11-22T00:00:00.0000001"', "precision"),
    "a date with a time": ("day", '"2026-11-22T00:00:00Z"', "format"),
    "a date of no calendar": ("day", '"2026-11-31"', "format"),
    "a date without zeros": ("day", '"2026-1-2"', "format"),
    "a date the other way round": ("day", '"22-11-2026"', "format"),
    "a date with slashes": ("day", '"2026/11/22"', "format"),
    "a date of year 0": ("day", '"0000-01-01"', "format"),
    "a time of 24:00": ("clock", '"24:00:00"', "format"),
    "a time with Z": ("clock", '"13:05:00Z"', "format"),
    "a time of a leap second": ("clock", '"23:59:60"', "format"),
    "a time of a day's millis": ("clock", "86400000", "range"),
    "a time of -1": ("clock", "-1", "range"),
    "a duration without P": ("span", '"1D"', "format"),
    "a duration of P": ("span", '"P"', "format"),
    "a duration of T": ("span", '"P1DT"', "format"),
    "a negative duration": ("span", '"-P1D"', "format"),
    "a duration with a negative part": ("span", '"P-1D"', "format"),
    "a duration with half a day": ("span", '"P0.5D"', "format"),
    "a duration the other way round": ("span", '"P1D1M"', "format"),
    "a duration of 2^32 months": ("span", '"P4294967296M"', "range"),
    "a duration of ten billion years": ("span", '"P9999999999Y"', "range"),
    "a duration of eleven digits": ("span", '"P99999999999D"', "format"),
    "a duration of a microsecond": ("span", '"PT0.000001S"', "precision"),
    "a duration by number": ("span", "1", "type"),
    "a UUID in braces": ("uid", '"{8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11}"', "format"),
    "a UUID as a URN": ("uid", '"urn:uuid:8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11"', "format"),
    "a UUID without hyphens": ("uid", '"8c5ea3974f2c4a5e9a553f3c4f3d2f11"', "format"),
    "a UUID with hyphens elsewhere": ("uid", '"8c5ea3974-f2c-4a5e-9a55-3f3c4f3d2f11"', "format"),
    "a UUID cut": ("uid", '"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f1"', "format"),
    "a UUID with g": ("uid", '"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f1g"', "format"),
    "a UUID with a line end": ("uid", '"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11\\n"', "format"),
    "a UUID with Arabic digits": ("uid", '"٨c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11"', "format"),
    "a UUID of nothing": ("uid", '""', "format"),
    "a UUID as an integer": ("uid", "7", "type"),
    "a UUID on fixed in braces": ("uid16", '"{8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11}"', "format"),
    "a UUID on fixed in base64": ("uid16", '"jF6jl08sSl6aVT88Tz0vEQ=="', "format"),
}

SHAPES: dict[str, tuple[bytes, str, str]] = {
    "a string at the top": (f'"{CANARY}"'.encode(), "type", ""),
    "a number at the top": (b"1", "type", ""),
    "NaN at the top": (b"NaN", "range", ""),
    "null at the top": (b"null", "type", ""),
    "true at the top": (b"true", "type", ""),
    "an array at the top": (b"[]", "type", ""),
    "an event in an array": (b"[" + RIGHT + b"]", "type", ""),
    "an empty object": (b"{}", "missing", "/order_id"),
    "an event in an object": (b'{"data":' + RIGHT + b"}", "missing", "/order_id"),
    "a name in capitals": (RIGHT.replace(b'"qty":3', b'"QTY":3'), "missing", "/qty"),
    "a name with a space": (RIGHT.replace(b'"qty":3', b'"qty ":3'), "missing", "/qty"),
    "a name with a Cyrillic letter": (RIGHT.replace(b'"ok"', '"\u043ek"'.encode()), "missing", "/ok"),
    "a name with an invisible letter": (event(',"qty\\u200b":3'), "unknown_field", "/qty\u200b"),
    "a name with NUL": (event(',"qty\\u0000":3'), "unknown_field", "/qty\x00"),
    "an empty name": (event(',"":1'), "unknown_field", "/"),
    "a name with a slash": (event(',"a/b~c":1'), "unknown_field", "/a~1b~0c"),
    "__proto__": (event(',"__proto__":{"qty":9}'), "unknown_field", "/__proto__"),
    "constructor": (event(',"constructor":{"prototype":{}}'), "unknown_field", "/constructor"),
    "__class__": (event(',"__class__":"os.system"'), "unknown_field", "/__class__"),
    "$ref": (event(',"$ref":"#"'), "unknown_field", "/$ref"),
    "a type of Java": (event(',"@type":"com.sun.rowset.JdbcRowSetImpl"'), "unknown_field", "/@type"),
    "a name of the slot of a record": (event(',"f0":1'), "unknown_field", "/f0"),
    "a name of 10,000 characters": (event(f',"{"n" * 10_000}":1'), "unknown_field", f"/{'n' * 100}…"),
    "a line with one field more": (event(lines='[{"sku":"a","qty":1,"x":1}]'), "unknown_field", "/lines/0/x"),
    "a line with one field less": (event(lines='[{"sku":"a"}]'), "missing", "/lines/0/qty"),
    "the second line is null": (event(lines=TEXTS["lines"][:-1] + ",null]"), "type", "/lines/1"),
    "a record as an array": (event(lines='[["a",1]]'), "type", "/lines/0"),
    "an array as an object": (event(bits='{"0":1,"length":1}'), "type", "/bits"),
    "a map as an array": (event(tags='[["a","b"]]'), "type", "/tags"),
    "a map of null": (event(tags='{"a":null}'), "type", "/tags/a"),
    "a map with a key of slashes": (event(tags='{"a/~b":1}'), "type", "/tags/a~1~0b"),
    "a map with an empty key": (event(tags='{"":1}'), "type", "/tags/"),
    "a map with a key of NUL": (event(tags='{"\\u0000":1}'), "type", "/tags/\x00"),
    "a map with a key of 200 characters": (event(tags=f'{{"{"k" * 200}":1}}'), "type", f"/tags/{'k' * 100}…"),
    "a union that none fits": (event(choice="true"), "union", "/choice"),
    "a union that 1.5 fits not": (event(choice="1.5"), "union", "/choice"),
    "a union of an object": (event(choice='{"int":1}'), "union", "/choice"),
    "a union of an array": (event(choice="[]"), "union", "/choice"),
    "a union whose int is too large": (event(choice="2147483648"), "range", "/choice"),
    "two records, none fits": (event(pick="{}"), "union", "/pick"),
    "two records, both at once": (event(pick='{"lives":9,"barks":1}'), "union", "/pick"),
    "two records, a wrong value": (event(pick='{"lives":"9"}'), "union", "/pick"),
    "two records, null": (event(pick="null"), "union", "/pick"),
    "two records, two names": (
        event(pick='{"com.acme.Cat":{"lives":9},"com.acme.Dog":{}}'),
        "union",
        "/pick",
    ),
    "two records, a wrong name": (event(pick='{"com.acme.Cow":{"lives":9}}'), "union", "/pick"),
    "two records, named and wrong": (
        event(pick='{"com.acme.Cat":{"lives":"9"}}'),
        "type",
        "/pick/com.acme.Cat/lives",
    ),
    "nullable of a wrong type": (event(maybe="1"), "type", "/maybe"),
    "an enum beside a string, neither": (event(words="1"), "union", "/words"),
    "string or bytes, neither": (event(tokens="1"), "union", "/tokens"),
    "string or bytes, named bytes, no base64": (event(tokens='{"bytes":"_"}'), "format", "/tokens/bytes"),
}

DOUBLED: dict[str, tuple[bytes, str]] = {
    "a name at the top": (event(',"qty":3'), "/qty"),
    "a name at the top, another value": (event(',"qty":4'), "/qty"),
    "the event's id": (event(',"order_id":"A-2"'), "/order_id"),
    "a name that is escaped": (event(',"\\u0071ty":3'), "/qty"),
    "a name that is escaped in capitals": (event(',"\\u006Fk":true'), "/ok"),
    "a name three times": (event(',"qty":3,"qty":3'), "/qty"),
    "a name in an item": (event(lines='[{"sku":"a","qty":1,"qty":1}]'), "/lines/0/qty"),
    "a name in the last of many items": (
        event(lines="[" + '{"sku":"a","qty":1},' * 99 + '{"sku":"a","qty":1,"sku":"a"}]'),
        "/lines/99/sku",
    ),
    "a key of a map": (event(tags='{"a":"b","a":"b"}'), "/tags/a"),
    "a key of a map that is escaped": (event(tags='{"a":"b","\\u0061":"c"}'), "/tags/a"),
    "an empty key": (event(tags='{"":"b","":"c"}'), "/tags/"),
    "a key of a map in a map": (event(deep='{"a":{"b":1,"b":1}}'), "/deep/a/b"),
    "a key of the outer map": (event(deep='{"a":{},"a":{"b":1}}'), "/deep/a"),
    "a name in a union": (event(pick='{"lives":9,"lives":9}'), "/pick/lives"),
    "a name in a named branch": (
        event(pick='{"com.acme.Cat":{"lives":9,"lives":8}}'),
        "/pick/com.acme.Cat/lives",
    ),
    "the name of a branch": (event(tokens='{"bytes":"AA==","bytes":"AA=="}'), "/tokens/bytes"),
    "a name in an unknown field": (unknown('{"y":1,"y":2}'), "/x/y"),
    "an unknown field": (event(',"x":1,"x":1'), "/x"),
    "a name ten deep in an unknown field": (
        unknown('{"d":' * 10 + '{"e":0,"e":0}' + "}" * 10),
        "/x" + "/d" * 10 + "/e",
    ),
    "a name at the last level": (
        unknown('{"d":' * 62 + '{"e":0,"e":0}' + "}" * 62),
        "/x" + "/d" * 62 + "/e",
    ),
    "a name with a slash": (event(tags='{"/":"b","/":"c"}'), "/tags/~1"),
    "an emoji, raw and in escapes": (event(tags='{"😀":"b","\\ud83d\\ude00":"c"}'), "/tags/😀"),
}

DEEP: dict[str, tuple[bytes, str]] = {
    "65 arrays": (unknown(nest(64)), "/x" + "/0" * 63),
    "65 objects": (unknown(chain(64)), "/x" + "/d" * 63),
    "arrays in objects": (unknown('{"d":[' * 32 + "]}" * 32), "/x" + "/d/0" * 31 + "/d"),
    "1,000 arrays": (unknown(nest(1_000)), "/x" + "/0" * 63),
    "1,000 objects": (unknown(chain(1_000)), "/x" + "/d" * 63),
    "100,000 arrays": (unknown(nest(100_000)), "/x" + "/0" * 63),
    "100,000 objects": (unknown(chain(100_000)), "/x" + "/d" * 63),
    "1,000 arrays for a number": (event(qty=nest(1_000)), "/qty" + "/0" * 63),
    "1,000 arrays for a map": (event(tags=f'{{"a":{nest(1_000)}}}'), "/tags/a" + "/0" * 62),
    "1,000 arrays for a union": (event(choice=nest(1_000)), "/choice" + "/0" * 63),
    "1,000 arrays behind a thousand brackets in text": (
        event(note='"' + "[" * 1_000 + '"', bits=nest(1_000)),
        "/bits" + "/0" * 63,
    ),
    "1,000 arrays at the top": (nest(1_000).encode(), "/0" * 64),
    "100,000 arrays at the top": (nest(100_000).encode(), "/0" * 64),
    "100,000 objects at the top": (chain(100_000).encode(), "/d" * 64),
}

MANY: dict[str, tuple[bytes, str, str, int]] = {
    "100,001 items": (event(bits=f"[{'1,' * 100_000}1]"), "length", "/bits", 1),
    "100,001 keys": (
        event(tags="{" + ",".join(f'"{key:x}":""' for key in range(100_001)) + "}"),
        "length",
        "/tags",
        4,
    ),
    "100,001 items of many arrays": (
        event(lines="[]", deep="{" + ",".join(f'"{key:x}":{{"a":1}}' for key in range(50_001)) + "}"),
        "length",
        "/deep/c34e",
        5,
    ),
    "101 faults": (event(bits=f"[{'true,' * 100}true]"), "type", "/bits/0", 101),
    "9,999 faults": (event(bits=f"[{'true,' * 9_998}true]"), "type", "/bits/0", 9_999),
    "10,000 faults": (event(bits=f"[{'true,' * 9_999}true]"), "type", "/bits/0", 10_000),
    "90,000 faults": (event(bits=f"[{'true,' * 89_999}true]"), "type", "/bits/0", 10_000),
    "500 unknown fields": (
        event("".join(f',"q{key}":1' for key in range(500))),
        "unknown_field",
        "/q0",
        500,
    ),
    "50,000 unknown fields": (
        event("".join(f',"q{key}":1' for key in range(50_000))),
        "unknown_field",
        "/q0",
        10_000,
    ),
    "50,000 doubled names": (event(',"qty":3' * 50_000), "duplicate_key", "/qty", 10_000),
    "50,000 surrogates": (unknown("[" + '"\\ud800",' * 50_000 + "0]"), "encoding", "/x/0", 10_000),
    "50,000 numbers beyond": (unknown("[" + "1e999," * 50_000 + "0]"), "range", "/x/0", 10_000),
    "20,000 spans too deep": (
        unknown("[" * 62 + ("[[0]]," * 20_000) + "0" + "]" * 62),
        "depth",
        "",
        1,
    ),
}

TAKEN: dict[str, bytes] = {
    "white space around": b" \r\n\t" + RIGHT + b"\t\n",
    "-0 as an int": event(qty="-0"),
    "the least int": event(qty="-2147483648"),
    "the least long": event(total="-9223372036854775808"),
    "the largest long": event(total="9223372036854775807"),
    "a double of 1,000 characters": event(ratio="0." + "1" * 998),
    "a double that is too small for any but zero": event(ratio="1e-999"),
    "the largest double": event(ratio="1.7976931348623157e308"),
    "an integer for a double": event(ratio="-1"),
    "a decimal -0": event(price='"-0"'),
    "a decimal with zeros beyond its scale": event(price='"1.230000"'),
    "a decimal as an integer": event(price="12"),
    "a decimal as a number": event(price="12.5"),
    "a decimal with an exponent, as a number": event(price="1.25e1"),
    "the largest decimal": event(price='"9999999999.99"'),
    "base64 with bits that no byte has": event(raw='"AAF="'),
    "a pair of surrogates in escapes": event(note='"\\ud83d\\ude00"'),
    "NUL in an escape": event(note='"\\u0000"'),
    "a solidus in an escape": event(note='"\\/"'),
    "characters that are none": event(note='"\\uffff\\ufdd0"'),
    "a string of 256 KiB": event(note=f'"{"a" * KIB_256}"'),
    "lower-case t and z": event(placed_at='"2026-11-22t13:05:00z"'),
    "an offset of 23:59": event(placed_at='"2026-11-22T13:05:00-23:59"'),
    "zeros beyond the milliseconds": event(placed_at='"2026-11-22T13:05:00.000000000000Z"'),
    "an offset of minus zero": event(placed_at='"2026-11-22T13:05:00-00:00"'),
    "a UUID in capitals": event(uid='"8C5EA397-4F2C-4A5E-9A55-3F3C4F3D2F11"'),
    "a UUID of zeros": event(uid16='"00000000-0000-0000-0000-000000000000"'),
    "brackets in text": event(note='"' + "[{" * 50_000 + '"'),
    "quotes in text": event(note='"' + '\\"' * 50_000 + '"'),
    "100,000 items": event(bits=f"[{'1,' * 99_995}1]"),
    "a record that names its branch": event(pick='{"com.acme.Dog":{"barks":1}}'),
    "a map whose keys are a record's": event(tags='{"sku":"a","qty":"b"}'),
}

EVENTS: dict[str, tuple[bytes, str, str]] = {
    **{f"number: {name}": case for name, case in NUMBERS.items()},
    **{f"text: {name}": case for name, case in TEXTS_BEYOND.items()},
    **{f"decimal: {name}": (event(price=text), code, "/price") for name, (text, code) in DECIMALS.items()},
    **{f"fixed decimal: {name}": (event(fee=text), code, "/fee") for name, (text, code) in DECIMALS.items()},
    **{f"time: {name}": (event(**{at: text}), code, f"/{at}") for name, (at, text, code) in TIMES.items()},
    **{f"shape: {name}": case for name, case in SHAPES.items()},
    **{f"doubled: {name}": (raw, "duplicate_key", at) for name, (raw, at) in DOUBLED.items()},
    **{f"deep: {name}": (raw, "depth", at) for name, (raw, at) in DEEP.items()},
}

SMALL = {name: case for name, case in EVENTS.items() if len(case[0]) < 4_096}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    async with open_wire(tmp_path_factory.mktemp("wire")) as opened:
        yield opened


@pytest.mark.parametrize("name", TEXTS_THAT_ARE_NONE)
async def test_what_is_no_json_text_is_400_and_says_where(wire: Wire, name: str) -> None:
    problem = await wire.refused(await wire.post(TEXTS_THAT_ARE_NONE[name]))
    assert problem["code"] == "body_malformed"
    assert "byte " in problem["detail"] or problem["detail"].startswith("The body is empty")
    assert "errors" not in problem


@pytest.mark.parametrize("name", EVENTS)
async def test_a_hostile_event_is_422_with_its_fault(wire: Wire, name: str) -> None:
    raw, code, pointer = EVENTS[name]
    send = wire.post if name in SMALL else wire.post_new
    problem = await wire.refused(await send(raw))
    assert (problem["code"], "errors_total" in problem) == ("event_invalid", False)
    first = problem["errors"][0]
    assert (first["code"], first["pointer"].removesuffix("…")[:120]) == (
        code,
        pointer.removesuffix("…")[:120],
    )


@pytest.mark.parametrize("name", MANY)
async def test_of_many_faults_a_hundred_are_told_and_the_rest_counted(wire: Wire, name: str) -> None:
    raw, code, pointer, total = MANY[name]
    problem = await wire.refused(await wire.post_new(raw))
    assert problem["code"] == "event_invalid"
    assert (problem["errors"][0]["code"], problem["errors"][0]["pointer"]) == (code, pointer)
    assert (len(problem["errors"]), problem.get("errors_total", len(problem["errors"]))) == (
        min(total, 100),
        total,
    )


@pytest.mark.parametrize("name", TAKEN)
async def test_what_only_looks_hostile_is_taken(wire: Wire, name: str) -> None:
    answer = await wire.post_new(TAKEN[name], path=f"{PATH}?dry_run=true")
    assert answer.status_code == 200, answer.text


async def batch_faults(wire: Wire, body: bytes, media_type: str, path: str) -> list[tuple[str, str]]:
    """Code and pointer of the first fault of each event of a batch, of which nothing was taken."""
    answer = await wire.post(body, media_type, path, Prefer="handling=lenient")
    assert (answer.status_code, answer.json()["code"]) == (422, "batch_refused")
    assert CANARY not in answer.text
    problems = [one["problem"] for one in answer.json()["results"]]
    for problem in problems:
        verify_faults(problem["errors"])
    assert {problem["code"] for problem in problems} == {"event_invalid"}
    assert await wire.count() == wire.published
    return [(one["errors"][0]["code"], one["errors"][0]["pointer"]) for one in problems]


async def test_a_hostile_line_among_many_has_the_same_fault(wire: Wire) -> None:
    body = b"\n".join(raw for raw, _, _ in SMALL.values())
    found = await batch_faults(wire, body, "application/x-ndjson", PATH)
    assert found == [(code, pointer) for _, code, pointer in SMALL.values()]


async def test_hostile_data_of_cloudevents_have_the_same_fault(wire: Wire) -> None:
    known = [case for case in SMALL.values() if case[0] != b"null"]  # which is an event without data
    events = (
        b'{"specversion":"1.0","id":"%d","source":"/s","type":"order.placed","data":%s}' % (number, raw)
        for number, (raw, _, _) in enumerate(known)
    )
    body = b"[" + b",".join(events) + b"]"
    found = await batch_faults(wire, body, "application/cloudevents-batch+json", "/v1/events")
    assert found == [(code, pointer) for _, code, pointer in known]
