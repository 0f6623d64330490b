"""The first and every further start: a key and a state that belong together."""

from collections.abc import Callable
from pathlib import Path

from gateway.errors import SetupError
from gateway.witness.key import CosigningKey, load_key, make_key
from gateway.witness.state import State, open_state


def open_witness(
    key: Path, state: Path, *, name: str, algorithm: int, entropy: Callable[[int], bytes]
) -> tuple[CosigningKey, State]:
    """Key and state; both are made where neither is there.

    The state comes first, and says whose it is once there is a key: killed before that key, the next start
    goes on; killed right behind it, nothing tells that state from one that was emptied, and it is refused.
    `name`: of a new key; empty: there must be one.

    Raises:
        SetupError: one is there without the other, or they do not belong together.
    """
    if key.exists() and not state.exists():
        raise SetupError(
            f"there is a key {key}, and no state {state}: a witness that has forgotten what it cosigned "
            "would cosign any history. Restore the state, or give the witness a new key and tell whoever "
            "believes the old one"
        )
    if not key.exists() and not name:
        raise SetupError(f"there is no key {key}: say --name, to make one (witness.example/w1)")
    opened = open_state(state)
    try:
        signer = _signer(key, opened, name=name, algorithm=algorithm, entropy=entropy)
        opened.belongs_to(str(signer.key))
    except BaseException:
        opened.close()
        raise
    return signer, opened


def _signer(
    key: Path, state: State, *, name: str, algorithm: int, entropy: Callable[[int], bytes]
) -> CosigningKey:
    if not key.exists():
        owner = state.owner()
        if owner is not None:
            raise SetupError(
                f"the state belongs to the witness {owner}, whose key is missing at {key}: restore it"
            )
        return make_key(key, name, algorithm, entropy)
    signer = load_key(key)
    if state.owner() is None:
        raise SetupError(
            f"there is a key {key}, and a state that does not say whose it is: it was emptied, and a witness "
            "that has forgotten what it cosigned would cosign any history. Restore the state, or give the "
            "witness a new key and tell whoever believes the old one. If this is its very first start, which "
            "was cut short, remove both"
        )
    if name and signer.key.name != name:
        raise SetupError(f"the key {key} is called {signer.key.name}, not {name}: leave --name out")
    return signer
