"""Two forms that Java programs read: a file of properties, and the value of `sasl.jaas.config`.

Neither an error nor a repr holds any part of a value: most values here are secrets, and so may be the
start of a line that was broken by mistake.

Source: java.util.Properties.load(Reader); javax.security.auth.login.Configuration, and the part of it that
Kafka's JaasConfig accepts (one login module).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import SettingsError

LONGEST_BYTES: Final = 1_048_576
_ENDS: Final = re.compile(r"\r\n|\r|\n")
_PAIR: Final = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)+|acks|debug|log_level|partitioner|retries")
"""What every name of Kafka's clients looks like. Anything else may be the rest of somebody's password."""

_BLANK: Final = re.compile(r"\s+|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""(?:"(?P<double>(?:\\.|[^"\\\n])*)"|'(?P<single>(?:\\.|[^'\\\n])*)'"""
    r"""|(?P<word>(?:[^\s"'=;/]|/(?![/*]))+)|(?P<sign>[=;]))""",
    re.DOTALL,
)
_QUOTED_ESCAPE: Final = re.compile(r"\\([0-3]?[0-7]{1,2}|.)", re.DOTALL)
_QUOTED_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FLAGS: Final = frozenset({"required", "requisite", "sufficient", "optional"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One property. `line`: where its logical line begins, from 1. `value`: without blanks around it."""

    name: str
    value: str = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True)
class Login:
    """A login module and its options. `module`: without its package."""

    module: str
    options: dict[str, str] = field(repr=False)


def read_properties_file(path: Path, *, setting: str) -> str:
    """The text of a file that a provider hands out. `setting`: the one that names it.

    Raises:
        SettingsError: it cannot be read, is too large, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            (f"{setting} {path} cannot be read ({error.strerror}): check path and rights",)
        ) from error
    if len(raw) > LONGEST_BYTES:
        raise SettingsError((f"{path} has over {LONGEST_BYTES} bytes: is it a client.properties?",))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(
            (f"{path}:{line}: is not UTF-8: save the file as UTF-8, or write the character as \\uXXXX",)
        ) from error


def parse_properties(text: str, *, path: str) -> tuple[Entry, ...]:
    """Read properties as Java does: comments, continued lines, escapes, `=`, `:` or blanks in between.

    Stricter than Java where a slip would stay unseen: a name twice, and a line that begins with no name that
    Kafka could have. Blanks at the end of a value are cut, as Kafka cuts them. `path` is for the errors.

    Raises:
        SettingsError: every line that is wrong.
    """
    faults: list[str] = []
    found: dict[str, Entry] = {}
    for line, content in _logical_lines(text):
        try:
            entry = _entry(line, content)
        except ValueError as error:
            faults.append(f"{path}:{line}: {error}")
            continue
        if entry.name in found:
            first = found[entry.name].line
            faults.append(f"{path}:{line}: {entry.name} stands already at line {first}: keep one of them")
        found.setdefault(entry.name, entry)
    if faults:
        raise SettingsError(tuple(faults))
    return tuple(found.values())


def parse_login(text: str) -> Login:
    """Read `Module required name="value" ...;`.

    Raises:
        ValueError: it is none; says which part is wrong, without quoting it.
    """
    tokens = list(_tokens(text))
    if len(tokens) < 3 or tokens[-1] != ("sign", ";"):  # noqa: PLR2004  (module, flag and semicolon)
        raise ValueError("does not end with a semicolon")
    (module_kind, module), (flag_kind, flag), *rest = tokens[:-1]
    if module_kind != "word" or flag_kind != "word" or flag.lower() not in _FLAGS:
        raise ValueError("does not begin with the name of a login module and `required`")
    options: dict[str, str] = {}
    for at in range(0, len(rest), 3):
        match rest[at : at + 3]:
            case [("word", name), ("sign", "="), ("word" | "quoted", value)]:
                options[name] = value
            case _:
                raise ValueError('has an option that is not written name="value"')
    return Login(module.rpartition(".")[2], options)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    lines = iter(enumerate(_ENDS.split(text), start=1))
    for number, line in lines:
        content = line.lstrip(" \t\f")
        if not content or content[0] in "#!":
            continue
        parts = [content]
        while _is_continued(parts[-1]):
            # A last line that is continued by nothing ends there.
            _, more = next(lines, (0, ""))
            parts[-1] = parts[-1][:-1]
            parts.append(more.lstrip(" \t\f"))
        yield number, "".join(parts)


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _entry(line: int, content: str) -> Entry:
    """Split a logical line; ValueError says what is wrong with it."""
    pair = _PAIR.fullmatch(content)
    name, value = (_unescape(part) for part in pair.groups()) if pair else ("", "")
    if not _NAME.fullmatch(name):
        raise ValueError(
            "does not begin with the name of a property: is a backslash missing at the end of the last line?"
        )
    if "\0" in value:
        raise ValueError(f"{name} has a NUL in its value, which nothing can read")
    return Entry(name, value.strip(), line)


def _unescape(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code, other = found.groups()
        if code is not None:
            return chr(int(code, 16))
        if other == "u":
            raise ValueError("has a \\u without four hexadecimal digits; a backslash itself is written \\\\")
        return _CONTROLS.get(other, other)

    try:
        # Java writes what is beyond U+FFFF as two escapes.
        return _ESCAPE.sub(plain, text).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise ValueError("has one half of a surrogate pair of \\u escapes without the other") from error


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError("has a quotation mark or a comment that does not end")
        at = found.end()
        kind = str(found.lastgroup)
        is_quoted = kind in {"double", "single"}
        yield ("quoted", _QUOTED_ESCAPE.sub(_unquote, found[kind])) if is_quoted else (kind, found[kind])


def _unquote(found: re.Match[str]) -> str:
    escaped = found[1]
    if escaped[0] in "01234567":
        return chr(int(escaped, 8))
    return _QUOTED_CONTROLS.get(escaped, escaped)
