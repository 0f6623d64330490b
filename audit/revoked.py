"""Receipts whose key somebody else may have: their signature counts for nothing, the log may still have them.

Who has the key can write any time into a receipt, so that the time in it says nothing either. Where there is
a proof, the receipt's evidence is taken for what it then is: an entry of the log, under a checkpoint that
another key has signed.

Source: docs/formats.md, section 5 (`revoked_keys`); docs/key-compromise.md.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from audit import papers
from audit.bundle import write_tar
from audit.failures import MalformedError, VerificationError
from audit.note import KEY_BYTES, thumbprint
from audit.parties import encode_key
from audit.whole import open_paper

_BEFORE: Final = r"c2sp\.org/tlog-proof@v1\n(?:extra [\w+/]*={0,2}\n)?index "


def read_revoked(raw: bytes) -> dict[str, int]:
    """The receipt keys of a JWK set that are compromised, by `kid`, with the time since when (Unix seconds).

    Raises:
        MalformedError: The bytes are no JWK set, or `revoked_keys` is not as ours has it.
    """
    found = papers.read_json(raw, "JWK set").get("revoked_keys", [])
    is_list = isinstance(found, list) and all(isinstance(one, dict) for one in found)
    papers.expect(is_list, "JWK set: revoked_keys must be a list of keys")
    return {
        str(one.get("kid")): _since(one.get("revoked")) for one in found if one.get("purpose") != "webhook"
    }


def _since(revoked: Any) -> int:
    since = revoked.get("revoked_at") if isinstance(revoked, dict) else None
    if type(since) is not int or not 0 <= since < 1 << 37:
        raise MalformedError("JWK set: revoked must hold revoked_at, Unix seconds")
    return since


def without_signature(
    files: Sequence[bytes], revoked: Mapping[str, int]
) -> tuple[list[bytes], tuple[str, ...]]:
    """The same papers with an entry in the place of a receipt by a revoked key; and what is not proved then.

    Papers without such a receipt come back as they are.

    Raises:
        VerificationError: There is such a receipt, and no proof that the log holds it.
    """
    held: dict[str, bytes] = {}
    # Checkpoints that stand alone may be several, to be compared.
    alone = [raw for raw in files if open_paper(raw).keys() == {"checkpoint"}]
    for name, part in (paper for raw in files if raw not in alone for paper in open_paper(raw).items()):
        papers.expect(held.setdefault(name, part) == part, f"{name}: two different ones were given")
    if "receipt.jws" not in held:
        return list(files), ()
    key_id, evidence, _signature = papers.read_receipt(held["receipt.jws"])
    if key_id not in revoked:
        return list(files), ()
    since = datetime.fromtimestamp(revoked[key_id], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    proof = held.pop("event.tlog-proof", None) or _proof_in(held, evidence)
    if proof is None:
        raise VerificationError(
            f"receipt: its key {key_id} is compromised since {since}, so that its signature proves nothing, "
            "and no proof was given that the log holds it"
        )
    index, _path, note = papers.read_path(proof, _BEFORE, "proof")
    epoch = note.partition(b"\n")[0].decode("ascii", "replace").rpartition("/")[2]
    papers.fit("[0-9]{1,9}", epoch, "proof: its log has no epoch")
    stem = f"entries/{epoch}/{index}"
    del held["receipt.jws"]
    if _is_key(held.get("keys/receipt.der", b""), key_id):
        del held["keys/receipt.der"]
    for name, part in ((f"{stem}.json", evidence), (f"{stem}.tlog-proof", proof)):
        papers.expect(held.setdefault(name, part) == part, f"{name}: two different ones were given")
    return [write_tar(held), *alone], (
        f"who signed the receipt: its key {key_id} is compromised since {since}; the log alone has it",
        f"that the log had it before that: one of {index + 1} entries or more that you kept would show it",
    )


def _proof_in(held: Mapping[str, bytes], evidence: bytes) -> bytes | None:
    """The proof of an entry of a bundle that is the receipt's."""
    stems = (name.removesuffix(".json") for name, part in held.items() if part == evidence)
    proofs = (held.get(f"{stem}.tlog-proof") for stem in stems if stem.startswith("entries/"))
    return next((one for one in proofs if one is not None), None)


def _is_key(der: bytes, key_id: str) -> bool:
    """Whether this is the key of that thumbprint: with its receipt it has nothing to vouch for any more."""
    public_key = der[-KEY_BYTES:]
    return der == encode_key(public_key) and thumbprint(public_key) == key_id
