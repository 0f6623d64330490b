"""A key that the gateway marks as leaked is believed by no monitor, whoever gave it; its history stays."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.monitor_state import Standing, State, format_state, parse_state
from audit.note import VerifierKey, format_line
from audit.receipt import format_jwk
from tests.hostile.log_server import FRESHNESS, Tree, changed, on, receipt
from tests.hostile.test_lying_logs import KNOWN, Scene, other
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, RECEIPT_SIGNER, SeedSigner
from tests.unit.gateway.cli.conftest import Shell

OLD, NEW = (VerifierKey(ORIGIN, one.public_key) for one in (LOG_SIGNER, OTHER_SIGNER))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    yield one
    for tree in one.server.trees:
        tree.session.close()


def freeze(scene: Scene, *frozen: SeedSigner) -> None:
    """Mark keys as an honest gateway does; an earlier one still named the log's key in `/v1/me`."""
    marked = [
        {"public_key": base64.b64encode(one.public_key).decode(), "compromised_at": "2026-11-20T00:00:00Z"}
        for one in frozen
    ]

    def told(answer: httpx.Response) -> httpx.Response:
        whole: dict[str, Any] = {**answer.json(), "checkpoint_key_history": [*marked, "junk", {}]}
        whole["freshness_key_history"] = marked
        return httpx.Response(200, json=whole)

    scene.server.lie = on("partner-gateway", told)
    scene.server.signer = OTHER_SIGNER


def kept(scene: Scene) -> State:
    return parse_state((scene.shell.folder / "state.json").read_bytes())


def news(out: str) -> list[str]:
    lines = [json.loads(line) for line in out.splitlines()]
    return [one["text"] for one in lines if one["event"] == "news"]


def test_a_new_monitor_trusts_no_key_that_is_marked(scene: Scene) -> None:
    scene.server.grow(scene.past[:KNOWN])
    freeze(scene, LOG_SIGNER)
    scene.server.signer = LOG_SIGNER  # a thief's
    assert scene.kinds() == ["signature"]
    assert kept(scene).log_keys == ()


@pytest.mark.parametrize("pins", [(), ("--log-key", str(OLD))], ids=["learned", "pinned"])
def test_one_that_knew_the_key_drops_it_and_says_so(scene: Scene, pins: tuple[str, ...]) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look(*pins).code == 0
    freeze(scene, LOG_SIGNER)
    ended = scene.look(*pins)
    assert ended.code == 9
    assert any("compromised" in one and str(OLD) in one for one in news(ended.out)), ended.out
    scene.server.signer = LOG_SIGNER
    assert scene.kinds(*pins) == ["signature"]
    # It stays so, though nobody marks it any more.
    scene.server.lie = on("nothing", lambda answer: answer)
    assert scene.kinds(*pins) == ["signature"]
    assert kept(scene).compromised_keys == (LOG_SIGNER.public_key,)


def test_with_the_new_key_it_goes_on_from_what_it_knew(scene: Scene) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look().code == 0
    freeze(scene, LOG_SIGNER)
    scene.server.grow(scene.past[KNOWN : KNOWN + 10])
    assert scene.kinds("--log-key", str(NEW), code=0) == []
    assert kept(scene).log_keys == (OTHER_SIGNER.public_key,)


def test_a_freeze_frees_nobody_from_the_history_but_it_proves_less(scene: Scene) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look().code == 0
    freeze(scene, LOG_SIGNER)
    assert scene.kinds("--log-key", str(NEW), code=0) == []
    # The same key, other entries: both notes are the new key's, which is proof.
    tree = Tree()
    tree.grow([*scene.past[:100], other(0), *scene.past[101:KNOWN]])
    scene.server.trees = [tree]
    assert scene.kinds("--log-key", str(NEW)) == ["fork"]
    (scene.shell.folder / "state.json").unlink()
    # A monitor whose last note is the leaked key's alone is as alarmed; others are shown nothing by it.
    scene.server.lie, scene.server.signer = on("nothing", lambda answer: answer), LOG_SIGNER
    scene.server.trees = [Tree()]
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look().code == 0
    freeze(scene, LOG_SIGNER)
    scene.server.trees = [tree]
    ended = scene.look("--log-key", str(NEW))
    assert ended.code == 9
    (alarm,) = [one for one in kept(scene).standing() if one.kind.value == "fork"]
    assert not alarm.is_provable
    assert "compromised" in alarm.text


def alarm_of_fork(scene: Scene) -> Standing:
    """Of a monitor that is told of the new key, and shown another history under it."""
    tree = Tree()
    tree.grow([*scene.past[:100], other(0), *scene.past[101:KNOWN]])
    scene.server.trees, scene.server.signer = [tree], OTHER_SIGNER
    assert scene.kinds("--log-key", str(NEW)) == ["fork"]
    (alarm,) = kept(scene).standing()
    return alarm


@pytest.mark.parametrize("pins", [(), ("--log-key", str(OLD))], ids=["learned", "pinned"])
def test_a_key_that_was_changed_and_has_not_leaked_proves_what_it_signed(
    scene: Scene, pins: tuple[str, ...]
) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look(*pins).code == 0
    alarm = alarm_of_fork(scene)
    assert alarm.is_provable
    assert "compromised" not in alarm.text
    assert kept(scene).retired_keys == (LOG_SIGNER.public_key,)


def test_what_an_earlier_version_kept_is_a_proof_likewise(scene: Scene) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look().code == 0
    state = kept(scene)
    state.log_keys, state.retired_keys = (OTHER_SIGNER.public_key,), ()
    scene.shell.write("state.json", format_state(state))
    assert alarm_of_fork(scene).is_provable


def test_a_key_that_leaked_once_it_was_changed_proves_nothing(scene: Scene) -> None:
    """Neither by a line beside its own that nobody has signed."""
    junk = format_line(ORIGIN, RECEIPT_SIGNER.public_key[:4], bytes(64)).encode()
    scene.server.grow(scene.past[:KNOWN])
    scene.server.lie = on("checkpoint$", changed(lambda raw: raw + junk))
    assert scene.look().code == 0
    known = kept(scene).kept
    assert known is not None
    assert junk in known.note
    freeze(scene, LOG_SIGNER)
    alarm = alarm_of_fork(scene)
    assert not alarm.is_provable
    state = kept(scene)
    assert (state.retired_keys, state.compromised_keys) == ((), (LOG_SIGNER.public_key,))


def test_a_freshness_key_is_dropped_likewise(scene: Scene) -> None:
    scene.server.grow(scene.past[:KNOWN])
    assert scene.look().code == 0
    freeze(scene, FRESHNESS)
    scene.server.signer = LOG_SIGNER
    assert scene.kinds() == ["stale"]
    assert kept(scene).freshness_keys == ()


def test_so_is_a_receipt_key(scene: Scene) -> None:
    first, second = scene.past[0], scene.past[1]
    scene.server.grow(scene.past[:KNOWN])
    kept_by_us = scene.shell.write("receipts/1", receipt(first)).parent
    assert scene.look("--receipts", str(kept_by_us)).code == 0
    assert kept(scene).receipt_keys.keys() == {RECEIPT_SIGNER.key_id}
    marked = {**format_jwk(RECEIPT_SIGNER.public_key), "revoked": {"revoked_at": 5, "reason": "compromised"}}
    jwks = {"keys": [], "revoked_keys": [marked]}
    scene.server.lie = on("jwks", lambda _answer: httpx.Response(200, json=jwks))
    scene.shell.write("receipts/2", receipt(second))
    ended = scene.look("--receipts", str(kept_by_us))
    assert ended.code == 9, "it proves nothing, whoever signed it"
    assert "compromised" in ended.out
    assert "not trusted" in ended.out
    state = kept(scene)
    assert [one.kind.value for one in state.standing()] == ["receipt"]
    assert (state.receipt_keys, len(state.receipts)) == ({}, 1)
