"""What every test may need: real parts (started once a run), and the account of those that a machine lacks.

A test that needs a real part carries its marker (`@pytest.mark.kafka`). Where the part is missing, the test
is left out of the run, and the last lines of the run say which part, why, and how many tests; with CI=true in
the environment the run fails. Nothing else in the tests is ever skipped.
"""

import gc
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from sqlalchemy import Engine, create_engine

from tests.curl_program import why_curl_is_missing
from tests.dealing import dealt
from tests.fast_folder import fast_folder
from tests.go_program import why_go_is_missing
from tests.kafka_server import KafkaServer, why_kafka_is_missing
from tests.migrated import lay_migrated
from tests.postgres_server import PostgresServer, why_postgres_is_missing
from tests.softhsm import SoftToken, why_softhsm_is_missing
from tests.strace_program import why_strace_is_missing

# Most tests of programs wait for modules that are loaded. Where an environment says that what is compiled of
# them must not be kept, each program would compile all of ours anew, which is half of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each COMMIT waits for the disk, a dozen milliseconds where others use it: `tmp_path` lies in memory.
_FILES_BYTES: Final = 4 << 30

if (_in_memory := fast_folder(_FILES_BYTES)) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_in_memory))

REAL_PARTS: Final[Mapping[str, Callable[[], str | None]]] = {
    "curl": why_curl_is_missing,
    "go": why_go_is_missing,
    "kafka": why_kafka_is_missing,
    "postgres": why_postgres_is_missing,
    "strace": why_strace_is_missing,
    "softhsm": why_softhsm_is_missing,
}
"""Marker to a function that says why the part cannot be used here, or None. A new real part is a new line."""

_NOT_RUN: Final = pytest.StashKey[dict[str, tuple[str, int]]]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a missing part, and count it; on several workers, long ones first."""
    reasons = {marker: why for marker, missing in REAL_PARTS.items() if (why := missing()) is not None}
    counts: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        lacking = [marker for marker in reasons if item.get_closest_marker(marker) is not None]
        counts.update(lacking)
        (left_out if lacking else kept).append(item)
    workers: int = getattr(config, "workerinput", {}).get("workercount", 0)
    items[:] = dealt(kept, workers, lambda item: item.path) if workers else kept
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    config.stash[_NOT_RUN] = {marker: (reasons[marker], count) for marker, count in counts.items()}


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collector away from the tests themselves: a look through all of them takes half a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where a CI machine could not run everything, the run has failed; workers only say what they know."""
    for_controller = getattr(session.config, "workeroutput", None)
    if for_controller is not None:
        for_controller["not_run"] = session.config.stash.get(_NOT_RUN, {})
    elif session.config.stash.get(_NOT_RUN, {}) and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker had to leave out: all of them collect the same tests."""
    left_out = getattr(node, "workeroutput", {}).get("not_run", {})
    node.config.stash[_NOT_RUN] = {part: (reason, count) for part, (reason, count) in left_out.items()}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run."""
    for part, (reason, count) in sorted(config.stash.get(_NOT_RUN, {}).items()):
        failed = " CI=true: this is a failure." if os.environ.get("CI") == "true" else ""
        tests = "test that needs" if count == 1 else "tests that need"
        terminalreporter.write_line(f"NOT RUN: {count} {tests} {part}: {reason}.{failed}", red=True)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A program that ran inside a test has set logging up for the whole process."""
    root, settings = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.get_config() != settings:
        structlog.configure(**settings)
    # Handlers of the test run itself come and go: none is put back, only what was added is taken away.
    root.handlers[:] = [one for one in root.handlers if one in handlers] or handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """One Kafka for all tests of the run. A test that pauses or stops it brings it back."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.kill()


DATABASES: Final = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))
"""What every test of the database runs on."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of the run. A test that pauses or stops it brings it back."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """One token in software for all tests of the run: its library is loaded once into a process."""
    token = SoftToken(tmp_path_factory.mktemp("softhsm"))
    token.make()
    return token


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with every table and no row, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "gateway.db"
    lay_migrated(file)
    return file


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database without a row, of each kind."""
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_file")
        (tmp_path / "gateway.db").write_bytes(migrated.read_bytes())
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A plain engine on a migrated database, for packages that get their session from a caller."""
    made = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    yield made
    made.dispose()


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a table, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(is_empty=True) as url:
        yield url
