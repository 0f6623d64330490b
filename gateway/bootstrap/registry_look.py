"""What the doctor asks of an external schema registry. Registers nothing."""

from collections.abc import Iterator
from typing import Final

from gateway.bootstrap.registry_access import Way, make_remote, way_of
from gateway.doctor.finding import Finding
from gateway.doctor.registry import REGISTRY, judge_mode, judge_own, judge_silence, judge_unknown_mode
from gateway.errors import SettingsError, SetupError
from gateway.settings import Settings
from schemas.remote import Patience, RemoteRegistry
from schemas.remote_answers import RemoteError

SOON: Final = Patience(connect=3.0, read=4.0, whole=5.0, rounds=1)


def examine_registry(settings: Settings, patience: Patience = SOON) -> Iterator[Finding]:
    """Ask the registry whether it is well, and judge what it says. Blocks."""
    try:
        way = way_of(settings)
    except SettingsError as error:
        for fault in error.faults:
            yield REGISTRY.fault(fault, "mend the file, or the setting")
        return
    except SetupError as error:
        yield REGISTRY.fault(error.text, "mend the file")
        return
    if way is None:
        yield judge_own()
        return
    for words in way.warnings:
        yield REGISTRY.warning(words, "mend the file, or leave it so")
    yield _ask(way, patience)


def _ask(way: Way, patience: Patience) -> Finding:
    remote = make_remote(way, patience)
    try:
        return _judge(remote)
    except RemoteError as error:
        return judge_silence(remote.url, error)
    finally:
        remote.close()


def _judge(remote: RemoteRegistry) -> Finding:
    remote.health()
    try:
        return judge_mode(remote.url, remote.mode())
    except RemoteError as error:
        return judge_unknown_mode(remote.url, error)
