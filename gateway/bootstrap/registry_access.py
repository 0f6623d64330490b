"""From settings to the schema registry of the house, where it is another program."""

import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway.bootstrap.aside import aside
from gateway.bootstrap.registry_properties import RegistryProperties, load_registry_properties
from gateway.errors import SettingsError, SetupError
from gateway.external_registry import ExternalRegistry
from gateway.logs import logger
from gateway.settings import OWN_REGISTRY, Settings

if TYPE_CHECKING:
    from schemas.remote import Access, Patience, RemoteRegistry


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the external registry, and what the operator should know of it."""

    access: "Access" = field(repr=False)
    warnings: tuple[str, ...] = ()


def open_registry(settings: Settings) -> ExternalRegistry | None:
    """The external registry; None where the registry is our own. Asks nothing yet.

    Raises:
        SettingsError: the properties of its provider cannot be used.
        SetupError: a file of certificates cannot.
    """
    way = way_of(settings)
    if way is None:
        return None
    log = logger("gateway.registry")
    for words in way.warnings:
        log.warning("registry.properties_file", reason=words)
    return ExternalRegistry(make_remote(way), aside=aside, ticks=time.monotonic)


def make_remote(way: Way, patience: "Patience | None" = None) -> "RemoteRegistry":
    """What asks the registry, and blocks."""
    from schemas.remote import RemoteRegistry  # noqa: PLC0415 - most gateways ask none, and its client is large

    return RemoteRegistry(way.access, ticks=time.monotonic, pause=time.sleep, patience=patience)


def way_of(settings: Settings) -> Way | None:
    """How to reach the registry that the settings name; None where it is our own.

    Raises:
        SettingsError: the properties of its provider cannot be used.
        SetupError: a file of certificates cannot.
    """
    path = settings.registry.properties_file
    given = RegistryProperties() if path is None else load_registry_properties(path)
    is_own = settings.registry.url == OWN_REGISTRY
    text = given.url if is_own else settings.registry.url
    if not text:
        if path is None:
            return None
        raise SettingsError((f"{path} has no schema.registry.url: add it, or set registry.url",))
    warnings = list(given.warnings)
    if given.url and given.url != text:
        warnings.append(f"{path}: schema.registry.url: is left out: registry.url names the registry")
    urls, user = _split(text)
    user = given.user or user
    if user is not None and given.token is not None:
        raise SettingsError(("the registry is to be logged in to with a password and a token: keep one",))
    if (user or given.token) and any(_is_clear(url) for url in urls):
        warnings.append(f"{','.join(urls)}: the credentials cross the network in clear: use https://")
    from schemas.remote import Access  # noqa: PLC0415 - as in `make_remote`

    return Way(Access(urls, user, given.token, _tls(given)), tuple(warnings))


def _split(text: str) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """The URLs without user and password, and those."""
    urls: list[str] = []
    user: tuple[str, str] | None = None
    for each in text.split(","):
        parts = urlsplit(each.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError(("schema.registry.url is no URL such as https://schemas.example",))
        if parts.username is not None:
            user = user or (unquote(parts.username), unquote(parts.password or ""))
        bare = parts.netloc.rpartition("@")[2]
        urls.append(urlunsplit((parts.scheme, bare, parts.path.rstrip("/"), "", "")))
    return tuple(urls), user


def _is_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}


def _tls(given: RegistryProperties) -> ssl.SSLContext | None:
    if not (given.ca or given.ca_pem or given.certificate or not given.checks_host):
        return None
    try:
        context = ssl.create_default_context(cafile=given.ca, cadata=given.ca_pem)
        if given.certificate is not None:
            context.load_cert_chain(given.certificate, given.key, given.key_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SetupError(
            f"the certificates for the schema registry cannot be used ({reason}): check that "
            "ssl.truststore.location and ssl.keystore.location name PEM files that this user can read"
        ) from error
    context.check_hostname = given.checks_host
    return context
