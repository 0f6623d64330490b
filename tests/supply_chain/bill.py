"""The bill of materials: what the program is made of, as CycloneDX JSON.

The same lock and the same installed metadata give the same bytes: no time, no chance, everything sorted.
Licences are as the packages themselves say; nothing is guessed from a text.

Source: CycloneDX 1.6, JSON; package URL, type pypi; SPDX licence expressions as in core metadata 2.4.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from tests.supply_chain.lock import Package

SPEC_VERSION: Final = "1.6"
_CLASSIFIER: Final = "License :: "
_MAX_NAME: Final = 120
"""Characters of a licence's name: what is longer is the text of one."""

Licence = Callable[[str], Mapping[str, Any] | None]
"""A package's licence as an item of `licenses`; None: not known on this machine."""


def make_bill(name: str, version: str, packages: Sequence[Package], licence: Licence) -> str:
    """The document, for a program of this name and version. Ends with a line break."""
    ordered = sorted(packages, key=lambda one: one.name)
    root = f"pkg:pypi/{name}@{version}"
    digest = hashlib.sha256("\n".join(_told(one) for one in ordered).encode()).hexdigest()
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{root} {digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                "purl": root,
                **_licences(licence(name)),
            }
        },
        "components": [_component(one, licence(one.name)) for one in ordered],
        "dependencies": _dependencies(root, name, ordered),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def installed_licence(name: str) -> Mapping[str, Any] | None:
    """What the installed package says of its licence: an expression, else names."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return None
    if expressions := told.get_all("License-Expression"):
        return {"expression": expressions[0]}
    names = sorted(
        line.removeprefix(_CLASSIFIER).rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or []
        if line.startswith(_CLASSIFIER) and line.count(" :: ") > 1
    )
    free = (told.get_all("License") or [""])[0].strip()
    if not names and free and "\n" not in free and len(free) <= _MAX_NAME:
        names = [free]
    return {"names": names} if names else None


def _licences(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if found is None:
        return {}
    if "expression" in found:
        return {"licenses": [{"expression": found["expression"]}]}
    return {"licenses": [{"license": {"name": one}} for one in found["names"]]}


def _component(one: Package, licence: Mapping[str, Any] | None) -> Mapping[str, Any]:
    condition = [] if one.marker is None else [{"name": "python:marker", "value": one.marker}]
    return {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "scope": "required" if one.marker is None else "optional",
        "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
        **_licences(licence),
        "purl": one.purl,
        **({"properties": condition} if condition else {}),
    }


def _dependencies(root: str, name: str, packages: Sequence[Package]) -> Sequence[Mapping[str, Any]]:
    """Who depends on whom, as the resolver has noted it."""
    refs = {name: root, **{one.name: one.purl for one in packages}}
    wanted: dict[str, list[str]] = {one: [] for one in refs}
    for one in packages:
        for by in one.wanted_by:
            if by in wanted:
                wanted[by].append(one.purl)
    return [{"ref": refs[by], "dependsOn": sorted(those)} for by, those in wanted.items()]


def _told(one: Package) -> str:
    return f"{one.purl} {one.marker or ''} {' '.join(one.hashes)}"
