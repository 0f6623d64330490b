"""What a new credential is made of, as a command line names it: files, never the thing itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from gateway.cli.errors import UsageError

MAX_BYTES: Final = 65_536
_STDIN: Final = "-"
_TEXTS: Final = ("whsec_", "whpk_", "whsk_", "-----BEGIN")


@dataclass(frozen=True, slots=True)
class Made:
    """What it is made of. Without any of these: an API key, made by the gateway."""

    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="api_key, certificate, public_key, oauth_client or webhook_secret; told by the others.",
            show_default=False,
        ),
    ] = None
    certificate: Annotated[
        str | None,
        typer.Option("--certificate", metavar="FILE", help="PEM of the certificate.", show_default=False),
    ] = None
    ca: Annotated[
        str | None,
        typer.Option("--ca", metavar="FILE", help="PEM of who issues them; with --uri.", show_default=False),
    ] = None
    uri: Annotated[
        str | None, typer.Option("--uri", help="SAN URI of the certificates.", show_default=False)
    ] = None
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key", metavar="FILE", help="PEM, JWK, or whpk_... of a sender.", show_default=False
        ),
    ] = None
    issuer: Annotated[str | None, typer.Option("--issuer", help="Of tokens.", show_default=False)] = None
    subject: Annotated[str | None, typer.Option("--subject", help="Of tokens.", show_default=False)] = None
    audience: Annotated[str | None, typer.Option("--audience", help="Of tokens.", show_default=False)] = None
    secret_file: Annotated[
        str | None,
        typer.Option(
            "--secret-file",
            metavar="FILE|-",
            help="whsec_... that a sender of webhooks has already.",
            show_default=False,
        ),
    ] = None

    def members(self, stdin: BinaryIO, kind: str | None = None) -> dict[str, Any]:
        """The members of the request's body. `kind`: where nothing tells it.

        Raises:
            UsageError: a file cannot be read.
        """
        given: dict[str, Any] = {"uri": self.uri, "issuer": self.issuer}
        given |= {"subject": self.subject, "audience": self.audience}
        files = {"certificate": self.certificate, "ca": self.ca, "public_key": self.public_key}
        for name, path in {**files, "secret": self.secret_file}.items():
            given[name] = None if path is None else _read(path, stdin, what=name.replace("_", " "))
        found = {name: value for name, value in given.items() if value is not None}
        return {"kind": self._kind(found) or kind or "api_key", **found}

    def _kind(self, given: dict[str, Any]) -> str | None:
        if self.kind is not None:
            return self.kind
        if "secret" in given or str(given.get("public_key", "")).startswith("whpk_"):
            return "webhook_secret"
        if "public_key" in given:
            return "public_key"
        if "certificate" in given or "ca" in given or "uri" in given:
            return "certificate"
        return "oauth_client" if {"issuer", "subject", "audience"} & given.keys() else None


def _read(path: str, stdin: BinaryIO, *, what: str) -> str:
    if path.startswith(_TEXTS) and not _is_file(path):
        raise UsageError(
            f"the {what} is named by its file, not given itself: other users can read a command line",
            hint="Put it into a file of mode 0600, or write - and give it on stdin.",
        )
    try:
        if path == _STDIN:
            raw = stdin.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        text = raw.decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"the file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the file {path} holds no {what}: it is not ASCII") from error
    if not text or len(raw) > MAX_BYTES:
        raise UsageError(f"the file {path} holds no {what}: it is empty, or larger than {MAX_BYTES} bytes")
    return text


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:
        return False  # longer than a name may be
