"""The named schemas of the registry's routes. Source: Confluent Schema Registry API."""

from collections.abc import Mapping
from typing import Final, get_args

from gateway.http.shapes import FLAG, TEXT, Shape, listed, record, ref, text, whole, word
from schemas.levels import Level, Mode

_LEVEL: Final = word(*get_args(Level))
_MODE: Final = word(*get_args(Mode))
_LINKS: Final = {"references": listed(ref("RegistryLink"), most=100)}

SCHEMAS: Final[Mapping[str, Shape]] = {
    "RegistryError": record({"error_code": whole(400, 59_999), "message": TEXT}),
    "RegistryLink": record({"name": text(least=1), "subject": text(least=1), "version": whole(-1)}),
    "RegistrySchema": record(
        {"guid": TEXT, "schema": TEXT},
        optional={**_LINKS, "subject": TEXT, "version": whole(1), "id": whole(1), "maxId": whole()},
    ),
    "RegistryVersion": record(
        {"subject": TEXT, "version": whole(1), "id": whole(1), "guid": TEXT, "schema": TEXT}, optional=_LINKS
    ),
    "RegistryRegistered": record(
        {"id": whole(1)}, optional={"version": whole(1), "guid": TEXT, "schema": TEXT, **_LINKS}
    ),
    "RegistryUses": listed(record({"subject": TEXT, "version": whole(1)})),
    "RegistrySubmission": record(
        {"schema": text(least=1)},
        optional={
            "schemaType": word("AVRO"),
            **_LINKS,
            "id": whole(-1, 2_147_483_647),
            "version": whole(-1, 2_147_483_647),
        },
    ),
    "RegistryVerdict": record({"is_compatible": FLAG}, optional={"messages": listed(TEXT)}),
    "RegistryLevel": record({"compatibilityLevel": _LEVEL}),
    "RegistryLevelSet": record({"compatibility": _LEVEL}),
    "RegistryLevelWanted": record({"compatibility": _LEVEL}),
    "RegistryMode": record({"mode": _MODE}),
}
"""By name."""
