"""YAML text to a tree of located nodes: the small, unsurprising part of YAML that a contract needs.

No objects are ever constructed. Anchors, aliases, tags, merge keys, duplicate keys, several documents and
version directives are refused; only `true`, `false`, `null` and whole numbers are read as other than text, so
`no`, `1:30` and `0755` mean what they look like. Built from parser events without recursion, so depth costs
no stack, and every other size is bounded before work is done.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import yaml

from partners.contract import pointer_to
from partners.errors import ContractFileError, Problem, SlotError

MAX_TEXT_BYTES: Final = 1024 * 1024
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 16
MAX_SCALAR: Final = 4_096

_UNWANTED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_HINTS: Final = {
    "\\t": "YAML is indented by spaces, never by tabs",
    "mapping values are not allowed": "put a value that holds ': ' in quotes",
    "could not find expected ':'": "a key is followed by ': ' and its value",
}

_SLOW: Final = re.compile(r"[^\n\x20-\x7e\u00a1-\u1fff]|[?&*!%@\\]|(?:[:-] |^) *[|>]", re.MULTILINE)
"""What libyaml may see in another way: tabs and the like, anchors, tags, escapes, block scalars."""

_QUICK: Final = getattr(yaml, "CSafeLoader", None)

Value = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, and the line that it stands in."""

    line: int
    value: Value


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Members:
    """A mapping. `lines`: where each key stands."""

    line: int
    members: dict[str, "Node"] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Items | Members


def read_tree(text: str, *, name: str) -> Node:
    """Read one document.

    Raises:
        ContractFileError: it is no YAML, or uses a part of YAML that is refused. Duplicate keys are all
            reported; at anything else reading stops, since what follows could not be trusted.
    """
    _verify_size(text, name)
    return _read_quickly(text, name) or read_carefully(text, name=name)


def read_carefully(text: str, *, name: str) -> Node:
    """As `read_tree`, by the reader that says what is wrong."""
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.feed(event)
    except yaml.YAMLError as error:
        raise ContractFileError([_syntax_problem(error, text, name)]) from error
    except (ValueError, OverflowError) as error:
        # An escape beyond Unicode ("\UFFFFFFFF") or an endless version number: PyYAML lets these through.
        raise ContractFileError(
            [Problem(name, 1, "", "syntax", "not YAML: a number or an escape in it is out of range")]
        ) from error
    if builder.problems:
        raise ContractFileError(builder.problems)
    if builder.root is None:
        raise ContractFileError(
            [Problem(name, 1, "", "missing", "the file is empty: begin with 'gateway: v1'")]
        )
    return builder.root


def _read_quickly(text: str, name: str) -> Node | None:
    """The document by libyaml, five times as fast; None: it is not there, or has something to say.

    Both take the same texts and make the same of them (a property test compares), but for some characters,
    of which libyaml lets more pass. What is refused, and in which words, is for the other one.
    """
    if _QUICK is None or _SLOW.search(text):
        return None
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=_QUICK):
            builder.feed(event)
    except (yaml.YAMLError, ContractFileError, ValueError, OverflowError):
        return None
    return None if builder.problems else builder.root


def walk(root: Node) -> Iterator[tuple[str, int]]:
    """Yield the JSON Pointer and the line of every node; of a member, the line of its key."""
    waiting: list[tuple[str, int, Node]] = [("", root.line, root)]
    while waiting:
        pointer, line, node = waiting.pop()
        yield pointer, line
        if isinstance(node, Members):
            for key, member in node.members.items():
                waiting.append((pointer + pointer_to(key), node.lines[key], member))
        elif isinstance(node, Items):
            for index, item in enumerate(node.items):
                waiting.append((f"{pointer}/{index}", item.line, item))


def tree_of(value: object, *, depth: int = MAX_DEPTH) -> Node:
    """A tree of JSON values, each in line 1; a number with a fraction becomes text, as in YAML.

    Raises:
        SlotError: nested too deeply, or a text in it is not clean.
    """
    if depth == 0:
        raise SlotError("depth", f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        if not all(map(is_clean, names)):
            raise SlotError("not_allowed", "a name holds a control character or half of a surrogate pair")
        members = {str(name): tree_of(one, depth=depth - 1) for name, one in value.items()}
        return Members(1, members, dict.fromkeys(names, 1))
    if isinstance(value, list | tuple):
        return Items(1, [tree_of(one, depth=depth - 1) for one in value])
    if value is None or isinstance(value, bool | int):
        return Scalar(1, value)
    text = str(value)
    if not is_clean(text):
        raise SlotError("not_allowed", "a value holds a control character or half of a surrogate pair")
    return Scalar(1, text)


def is_clean(text: str) -> bool:
    """Tell whether a text is free of half surrogate pairs and of controls but tab and line end."""
    return _UNWANTED.search(text) is None


def _verify_size(text: str, name: str) -> None:
    # Characters first: they are counted already, and there are never fewer bytes than characters.
    if len(text) > MAX_TEXT_BYTES or len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        detail = f"the file is larger than {MAX_TEXT_BYTES} bytes: keep schemas in files of their own"
        raise ContractFileError([Problem(name, 1, "", "length", detail)])


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet; `key` is the member whose value comes next."""

    node: Items | Members
    pointer: str
    key: str | None = None
    key_line: int = 0


class _Builder:
    """Takes parser events, keeps the open nodes on a stack of its own."""

    def __init__(self, name: str) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._name = name
        self._open: list[_Open] = []
        self._nodes = 0

    def feed(self, event: yaml.Event) -> None:
        """Take one event.

        Raises:
            ContractFileError: at what is refused.
        """
        mark = event.start_mark
        line = 1 if mark is None else mark.line + 1
        if isinstance(event, yaml.NodeEvent):
            self._verify_plain(event, line)
        if isinstance(event, yaml.DocumentStartEvent):
            self._verify_document(event, line)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._push(Members(line), line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._push(Items(line), line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()

    def _verify_document(self, event: yaml.DocumentStartEvent, line: int) -> None:
        if self.root is not None:
            self._refuse(line, "not_allowed", "one file holds one contract: remove the second document (---)")
        if event.version is not None or event.tags:
            self._refuse(line, "not_allowed", "remove the directives (%YAML, %TAG): they are not allowed")

    def _verify_plain(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            self._refuse(
                line, "not_allowed", "anchors and aliases (&, *) are not allowed: write the value out"
            )
        if getattr(event, "tag", None) is not None:
            self._refuse(
                line, "not_allowed", "tags (!) are not allowed: put the value in quotes if it is text"
            )
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._refuse(line, "length", f"the file holds more than {MAX_NODES} values: split it by partner")

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        text: str = event.value
        if len(text) > MAX_SCALAR:
            self._refuse(line, "length", f"a value is longer than {MAX_SCALAR} characters")
        if not is_clean(text):
            self._refuse(line, "not_allowed", "a value holds a control character or half of a surrogate pair")
        top = self._open[-1] if self._open else None
        if top is not None and isinstance(top.node, Members) and top.key is None:
            self._key(top, text, line)
        else:
            self._place(Scalar(line, _resolve(text) if event.implicit[0] else text), line)

    def _key(self, top: _Open, text: str, line: int) -> None:
        members = top.node
        if isinstance(members, Members) and text in members.members:
            first = members.lines[text]
            detail = f"'{text[:64]}' stands here twice (first in line {first}): remove one of them"
            self.problems.append(
                Problem(self._name, line, top.pointer + pointer_to(text), "duplicate_key", detail)
            )
        if text == "<<":
            self._refuse(line, "not_allowed", "merge keys (<<) are not allowed: write the values out")
        top.key, top.key_line = text, line

    def _push(self, node: Items | Members, line: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._refuse(line, "depth", f"nested deeper than {MAX_DEPTH} levels")
        pointer = self._place(node, line)
        self._open.append(_Open(node, pointer))

    def _place(self, node: Node, line: int) -> str:
        """Put a node where it belongs, and return its pointer."""
        if not self._open:
            self.root = node
            return ""
        top = self._open[-1]
        if isinstance(top.node, Items):
            top.node.items.append(node)
            return f"{top.pointer}/{len(top.node.items) - 1}"
        if top.key is None:
            self._refuse(line, "type", "a key is a single word, not a list or a mapping")
        key = top.key
        top.node.members.setdefault(key, node)
        top.node.lines.setdefault(key, top.key_line)
        top.key = None
        return top.pointer + pointer_to(key)

    def _refuse(self, line: int, code: str, detail: str) -> NoReturn:
        top = self._open[-1] if self._open else None
        pointer = top.pointer if top else ""
        if top is not None and top.key is not None:
            pointer += pointer_to(top.key)
        raise ContractFileError([*self.problems, Problem(self._name, line, pointer, code, detail)])


def _resolve(text: str) -> Value:
    """Read a plain scalar. A number of more than 18 digits stays text, and is refused where one is due."""
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


def _syntax_problem(error: yaml.YAMLError, text: str, name: str) -> Problem:
    """Say where the text stops being YAML, and what is mostly the reason."""
    mark = getattr(error, "problem_mark", None)
    words = str(getattr(error, "problem", None) or "not YAML")
    if mark is None:
        # A character that YAML does not allow: the reader gives its position, not its line.
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        return Problem(name, line, "", "syntax", "not YAML: a character that may not stand in a text file")
    hint = next((f"; {hint}" for part, hint in _HINTS.items() if part in words), "")
    printable = "".join(char if char.isprintable() else "?" for char in words)[:200]
    detail = f"not YAML at column {mark.column + 1}: {printable}{hint}"
    return Problem(name, mark.line + 1, "", "syntax", detail)
