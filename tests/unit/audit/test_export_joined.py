"""Several exports show one history, or are a fork, or it is said that nothing shows which."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from audit import log
from audit.errors import InconsistentError, MalformedError
from audit.evidence import Kind
from audit.export_joined import verify_exports
from audit.verify import Verdict
from gateway.database import Database
from tests.made_logs import database_at, exported, grow, keys_of, mixed
from tests.unit.audit.builders import AT, LOG, ORIGIN, evidence

pytestmark = pytest.mark.asyncio(loop_scope="module")

Paths = Mapping[tuple[str, int, int], Path]

LOGS: Final[Mapping[str, tuple[int, int | None]]] = {
    "seventy": (70, None),
    "forty": (40, None),
    "seventy forked": (70, 50),
    "forty forked": (40, 35),
}
"""Entries of a log, and where another one stands than in the others."""


@pytest.fixture(scope="module")
def databases(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path
) -> Iterator[Mapping[str, Database]]:
    with ExitStack() as stack:
        found: dict[str, Database] = {}
        for name, (size, other) in LOGS.items():
            opened = database_at(tmp_path_factory.mktemp("joined"), migrated_file)
            stack.callback(opened.close)
            with opened.begin() as session:
                grow(session, [mixed(number + 500 * (number == other)) for number in range(size)])
            found[name] = opened
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def paths(databases: Mapping[str, Database], tmp_path_factory: pytest.TempPathFactory) -> Paths:
    folder, found = tmp_path_factory.mktemp("archives"), dict[tuple[str, int, int], Path]()
    for name, database in databases.items():
        for first, end in ((0, 20), (20, 30), (30, LOGS[name][0])):
            archive = await exported(database, (ORIGIN, first, end), name=f"exp_{first}")
            found[name, first, end] = folder / f"{name} {first}.tar"
            found[name, first, end].write_bytes(archive)
    return found


def verify(paths: Paths, *which: tuple[str, int, int]) -> Verdict:
    verdict = verify_exports([paths[one] for one in which], keys_of(ORIGIN))
    assert verdict is not None
    return verdict


APART = "that the checkpoints of 40 and 70 entries"


async def test_exports_of_one_log_are_of_one_history(paths: Paths) -> None:
    verdict = verify(paths, ("forty", 0, 20), ("seventy", 20, 30), ("seventy", 30, 70))
    assert f"{ORIGIN}: nothing is missing between the exports at index 30" in verdict.proved
    assert not any(one.startswith(APART) for one in verdict.not_proved)


async def test_two_roots_of_one_size_are_a_fork(paths: Paths) -> None:
    """Each by itself holds, and the second begins where the first ends; only their checkpoints contradict."""
    for which in (("seventy", 0, 20), ("seventy forked", 20, 30)):
        assert verify(paths, which).proved
    with pytest.raises(
        InconsistentError, match=f"fork: two histories, by the root of 70 entries of {ORIGIN}"
    ):
        verify(paths, ("seventy", 0, 20), ("seventy forked", 20, 30))


@pytest.mark.parametrize("is_first", [True, False])
async def test_entries_that_lead_to_another_root_than_a_checkpoint_within_them_are_a_fork(
    paths: Paths, *, is_first: bool
) -> None:
    forked: tuple[str, int, int] = ("forty forked", 0, 20)
    rest = [("seventy", 20, 30), ("seventy", 30, 70)]
    if not is_first:
        forked, rest = ("forty forked", 20, 30), [("seventy", 0, 20)]
        assert any(one.startswith(APART) for one in verify(paths, *rest, forked).not_proved)
        rest = [("seventy", 30, 70)]
    with pytest.raises(
        InconsistentError, match=f"fork: two histories, by the root of 40 entries of {ORIGIN}"
    ):
        verify(paths, forked, *rest)


async def test_where_nothing_leads_from_one_checkpoint_to_the_other_that_is_said(paths: Paths) -> None:
    verdict = verify(paths, ("forty", 0, 20), ("seventy", 20, 30))
    assert [one for one in verdict.not_proved if one.startswith(APART)] == [
        f"{APART} of {ORIGIN} are of one history: the entries between them are in none of these exports"
    ]


async def test_an_export_beside_another_paper_is_refused(paths: Paths, tmp_path: Path) -> None:
    other = tmp_path / "receipt"
    other.write_bytes(b"a.b.c")
    with pytest.raises(MalformedError, match="apart from other papers"):
        verify_exports([paths["forty", 0, 20], other], keys_of(ORIGIN))


SECOND, THIRD = f"{LOG}/2", f"{LOG}/3"
GAP = f"that nothing is missing between {ORIGIN} and {SECOND}: "


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def epochs(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Mapping[str, Path]:
    """Exports of a log whose second epoch names the head of the first, and whose third names none."""
    folder = tmp_path_factory.mktemp("epochs")
    database, found = database_at(folder, migrated_file), dict[str, Path]()
    with database.begin() as session:
        grow(session, [mixed(number) for number in range(30)])
        (state,) = log.epochs(session, LOG)
        root = base64.b64encode(state.head.root()).decode()
        previous = {"origin": ORIGIN, "size": 30, "root": root}
        for origin, said in ((SECOND, previous), (THIRD, None)):
            members: dict[str, Any] = {"origin": origin, "previous": said, "reason": "a backup"}
            opened = evidence(90, kind=Kind.EPOCH_OPENED, at=AT + 90, **members)
            grow(session, [opened, mixed(61), mixed(62)], origin=origin)
    wanted = {
        "whole": [(ORIGIN, 0, 30), (SECOND, 0, 3)],
        "cut": [(ORIGIN, 0, 28), (SECOND, 0, 3)],
        "later": [(ORIGIN, 0, 30), (SECOND, 1, 3)],
        "first": [(ORIGIN, 0, 30)],
        "second": [(SECOND, 0, 3)],
        "end of second": [(SECOND, 1, 3)],
        "skipped": [(ORIGIN, 0, 30), (THIRD, 0, 3)],
    }
    for name, stretches in wanted.items():
        found[name] = folder / f"{name}.tar"
        found[name].write_bytes(await exported(database, *stretches, name=f"exp_{name.replace(' ', '_')}"))
    database.close()
    return found


def judged(epochs: Mapping[str, Path], *names: str) -> tuple[str, str]:
    verdict = verify_exports([epochs[one] for one in names], keys_of(ORIGIN))
    assert verdict is not None
    return "\n".join(verdict.proved), "\n".join(verdict.not_proved)


@pytest.mark.parametrize("names", [("whole",), ("first", "second")])
async def test_an_epoch_that_begins_where_the_one_before_it_ends_is_proved_to(
    epochs: Mapping[str, Path], names: tuple[str, ...]
) -> None:
    proved, not_proved = judged(epochs, *names)
    assert f"{SECOND} begins where {ORIGIN} ends: its first entry names these 30 entries" in proved
    assert ORIGIN not in not_proved


async def test_what_was_cut_off_before_an_epoch_is_told(epochs: Mapping[str, Path]) -> None:
    proved, not_proved = judged(epochs, "cut")
    assert "begins where" not in proved
    assert f"{GAP}by the first entry of the newer one the older one ended at 30 entries" in not_proved
    assert "what is here of it ends at 28" in not_proved


async def test_where_no_entry_says_where_an_epoch_ended_that_is_told(epochs: Mapping[str, Path]) -> None:
    assert f"{GAP}no entry is here" in judged(epochs, "later")[1]
    assert f"{ORIGIN} and {THIRD}: no entry is here" in judged(epochs, "skipped")[1]
    assert f"what {ORIGIN} holds: by the first entry of {SECOND}" in judged(epochs, "second")[1]
    assert ORIGIN not in judged(epochs, "end of second")[1], "a part of one epoch says nothing of others"
