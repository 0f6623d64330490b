"""The content of an event as received: the bytes whose SHA-256 the receipt names."""

import base64
import hashlib
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.client import Answer, under
from gateway.cli.command import Invocation, OfPartner
from gateway.cli.errors import AnswerError, UsageError
from gateway.cli.exits import Exit
from gateway.cli.found import Ref, find_event
from gateway.cli.verify import write_paper


def save_content(
    call: Invocation,
    ref: Ref,
    *,
    partner: OfPartner = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to stdout.")
    ] = None,
) -> Exit | None:
    """Save the content as received, byte for byte. When our side reads it, the partner's log tells so."""
    with call.client() as client:
        owner, _ = find_event(client, ref, partner)
        answer = client.fetch(under(owner, "history", ref, "content"))
    _verify_digest(answer)
    coding = answer.headers.get("content-encoding", "identity")
    if file is None:
        _print(call, _text(answer.content, coding))
        return None
    write_paper(file, answer.content)
    words = "" if coding == "identity" else f", as it came: compressed with {coding}"
    call.output.note(f"{len(answer.content)} bytes of {answer.headers.get('content-type')} in {file}{words}")
    return None


def _verify_digest(answer: Answer) -> None:
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    if answer.headers.get("content-digest") != f"sha-256=:{digest}:":
        raise AnswerError("the content is not the one that Content-Digest names", status=answer.status)


def _print(call: Invocation, text: str) -> None:
    """As it is into a pipe; on a terminal line by line, without what would steer it."""
    if not call.output.out.isatty():
        call.output.out.write(text)
        return
    for line in text.splitlines():
        call.output.line(line)


def _text(raw: bytes, coding: str) -> str:
    try:
        if coding == "identity":
            return raw.decode()
    except UnicodeDecodeError:
        pass
    raise UsageError("the content is no text: save it with -o FILE")
