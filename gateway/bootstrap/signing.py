"""Our signing keys, wired: the ring of this process, what changes it, and the token where there is one."""

from gateway.administration.evidence import Scribe
from gateway.administration.key_book import KeyBook
from gateway.administration.key_changes import KeyMaker
from gateway.administration.signing_keys import SigningKeys
from gateway.bootstrap.aside import aside
from gateway.bootstrap.ground import Ground, entropy
from gateway.keys import Opener, load
from gateway.pkcs11 import Token, verify_installed
from gateway.settings import Settings


def make_keys(ground: Ground) -> tuple[KeyBook, SigningKeys]:
    """The ring as of now, and who changes it.

    Raises:
        KeysMissingError, SealError: our signing keys cannot be used.
        SetupError: the settings name a token, and what asks it is not installed.
        StoreError: the database is away.
    """
    token = _token(ground.settings)
    opener = _opener(ground, token)
    with ground.database.begin() as session:
        current = load(session, opener)
    scribe = Scribe(ground.settings.origin, ground.host, ground.house_log, entropy)
    book = KeyBook(database=ground.database, opener=opener, scribe=scribe, current=current)
    return book, _signing(ground, token)


def make_opener(ground: Ground) -> Opener:
    """What makes signers of our keys, also of those in the token. Raises SetupError as `make_keys`."""
    return _opener(ground, _token(ground.settings))


def _opener(ground: Ground, token: Token | None) -> Opener:
    return Opener(ground.vault) if token is None else Opener(ground.vault, token.sign, token.close)


def _token(settings: Settings) -> Token | None:
    """The token that holds checkpoint keys, where the settings name one."""
    given = settings.keys.pkcs11
    if given.module is None or given.pin_file is None:
        return None
    verify_installed()
    return Token(given.module, given.token, given.pin_file)


def _signing(ground: Ground, token: Token | None) -> SigningKeys:
    maker = KeyMaker(ground.vault, entropy)
    if token is None:
        return SigningKeys(maker)
    find = token.find
    return SigningKeys(maker, lambda label: aside(lambda: find(label)))
