"""A contract file on disk, with the files that it names: read together, nothing from outside its folder."""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from partners.contract import ContractFile
from partners.contract_file import attach_files, read_contract
from partners.errors import ContractFileError, Problem

MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalContract:
    """A contract as its folder has it. `files`: what it names, by the paths that it names them by.

    `file`: what was read of it, called by its whole path.
    """

    partner: str
    name: str
    text: str = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    file: ContractFile = field(repr=False)


@dataclass(frozen=True, slots=True)
class Beside:
    """A contract of the same set that another forwards to, with the schemas that this takes.

    `is_first`: it is to be applied before the other.
    """

    contract: LocalContract = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    is_first: bool


def in_order(contracts: Sequence[LocalContract]) -> tuple[LocalContract, ...]:
    """Those that others forward to before these, else as they were; of a circle one has to come first."""
    left = {one.partner: one for one in contracts}
    found: list[LocalContract] = []
    while left:
        one = next(iter(left.values()))
        seen: set[str] = set()
        while one.partner not in seen:
            seen.add(one.partner)
            one = next((left[to] for to in sorted(_forwards(one)) if to in left), one)
        found.append(left.pop(one.partner))
    return tuple(found)


def beside(contract: LocalContract, ordered: Sequence[LocalContract]) -> tuple[Beside, ...]:
    """What a contract forwards to among those of its set, which are `in_order`."""
    types, found = _forwards(contract), []
    is_first = True
    for one in ordered:
        is_first = is_first and one.partner != contract.partner
        if one.partner in types and one.partner != contract.partner:
            terms = [each for each in one.file.contract.terms if each.direction == "outbound"]
            paths = {each.schema_path for each in terms if each.event_type in types[one.partner]}
            found.append(Beside(one, {path: one.files[path] for path in sorted(paths)}, is_first))
    return tuple(found)


def _forwards(contract: LocalContract) -> Mapping[str, frozenset[str]]:
    """To whom a contract forwards, and as which types."""
    found: dict[str, frozenset[str]] = {}
    for terms in contract.file.contract.terms:
        if terms.forward is not None:
            to = terms.forward.to
            found[to] = found.get(to, frozenset()) | {terms.forward.event_type}
    return found


def load_contract(path: Path) -> LocalContract:
    """Read and check a contract file and what it names, without any server.

    Raises:
        ContractFileError: every problem found, a file that cannot be read among them.
    """
    text = _read(path, str(path))
    file = read_contract(text, name=str(path), allow_insecure_loopback=True)
    files: dict[str, str] = {}
    problems: list[Problem] = []
    root = path.parent.resolve()
    for named in file.paths():
        try:
            place = (root / named).resolve()
        except (OSError, RuntimeError, ValueError):
            problems.append(Problem(str(path), 1, "", "reference", f"'{named}' leads nowhere"))
            continue
        if not place.is_relative_to(root):
            problems.append(Problem(str(path), 1, "", "reference", f"'{named}' leads out of its folder"))
            continue
        try:
            files[named] = _read(place, named)
        except ContractFileError as error:
            problems += error.problems
    if problems:
        raise ContractFileError(problems)
    attached = attach_files(file, files)
    return LocalContract(file.contract.partner, path.name, text, files, attached)


def find_contracts(path: Path) -> list[Path]:
    """The contract files that a path stands for: itself, or every `*.yaml` and `*.yml` in a folder, sorted.

    What lies in folders inside it may be anything, and is not read.

    Raises:
        ContractFileError: there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not found:
        raise ContractFileError(
            [Problem(str(path), 1, "", "missing", "no *.yaml in this folder; those inside it are not read")]
        )
    return found


def _read(path: Path, shown: str) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # A pipe or a terminal may never end, and nobody would see what is waited for.
            problem = Problem(shown, 1, "", "reference", "is no regular file: a pipe or device is not read")
            raise ContractFileError([problem])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            problem = Problem(shown, 1, "", "length", f"has more than {MAX_BYTES} bytes")
            raise ContractFileError([problem])
        return raw.decode()
    except OSError as error:
        problem = Problem(shown, 1, "", "reference", f"cannot be read: {error.strerror}")
        raise ContractFileError([problem]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = Problem(shown, line, "", "syntax", "is not UTF-8: save it as UTF-8")
        raise ContractFileError([problem]) from error
