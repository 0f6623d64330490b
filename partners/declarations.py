"""What a contract's file says of certificates and OAuth clients, read from the files that it names."""

from collections.abc import Iterator
from dataclasses import dataclass

from partners.contract import ContractFile
from partners.credential_material import (
    IssuedCertificates,
    OauthClient,
    PinnedCertificate,
    read_authorities,
    read_certificate,
    read_oauth_client,
)
from partners.errors import ContractFileError, CredentialMaterialError, Problem

Declarable = PinnedCertificate | IssuedCertificates | OauthClient


@dataclass(frozen=True, slots=True)
class Declared:
    """One credential that a contract names. `section` and `name`: what the plan calls it."""

    section: str
    name: str
    material: Declarable

    def words(self) -> str:
        """Tell which it is."""
        if isinstance(self.material, PinnedCertificate):
            return self.material.match[: len("sha256:") + 16] + "..."
        if isinstance(self.material, IssuedCertificates):
            return self.material.match
        return f"{self.material.subject} for {self.material.audience}"


def read_declarations(file: ContractFile) -> tuple[Declared, ...]:
    """Read every certificate and client; the contract's files are attached.

    Raises:
        ContractFileError: with a problem for each that cannot be used.
    """
    problems: list[Problem] = []
    found: dict[str, Declared] = {}
    for pointer, path, one in _each(file):
        if isinstance(one, CredentialMaterialError):
            problems.append(
                Problem(path, 1, "", "format", str(one))
                if path
                else file.problem(pointer, "format", str(one))
            )
        elif one.material.match in found:
            other = found[one.material.match].name
            detail = f"is the same as '{other}': name it once"
            problems.append(file.problem(pointer, "duplicate_key", detail))
        else:
            found[one.material.match] = one
    if problems:
        raise ContractFileError(problems)
    return tuple(found.values())


def _each(file: ContractFile) -> Iterator[tuple[str, str, Declared | CredentialMaterialError]]:
    """Pointer, file and value of each, or why it is none."""
    terms, texts = file.contract.authentication, dict(file.files)
    pointer = "/authentication/certificates"
    for path in terms.certificates:
        try:
            yield pointer, path, Declared("certificate", path, read_certificate(texts[path]))
        except CredentialMaterialError as error:
            yield pointer, path, error
    for one in terms.authorities:
        try:
            material = read_authorities(texts[one.path], one.uri)
            yield pointer, one.path, Declared("certificate", one.path, material)
        except CredentialMaterialError as error:
            yield pointer, one.path, error
    if terms.oauth is not None:
        pointer = "/authentication/oauth"
        try:
            client = read_oauth_client(terms.oauth.issuer, terms.oauth.subject, terms.oauth.audience)
            yield pointer, "", Declared("oauth", terms.oauth.issuer, client)
        except CredentialMaterialError as error:
            yield pointer, "", error
