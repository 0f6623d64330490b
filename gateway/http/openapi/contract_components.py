"""The named schemas of what operators send of contracts, and of what is answered."""

from collections.abc import Mapping
from typing import Final

from gateway.http.shapes import FLAG, TEXT, Shape, listed, mapped, maybe, record, ref, text, whole

_COUNT: Final = whole()
_CONTRACT_FILES: Final = {"files": mapped(TEXT), "file_name": text(most=255, least=1)}
_BESIDE: Final = {
    **record({"contract": TEXT}, optional={**_CONTRACT_FILES, "first": FLAG}),
    "additionalProperties": False,
    "description": "A contract that is applied together with this one, which forwards to it; asked about as "
    "if it were in force where its partner has none yet, and in a dry run where it is to be `first`. Of its "
    "files the schemas of what is forwarded are enough.",
}
_IMPACT: Final = record(
    {
        "section": TEXT,
        "name": TEXT,
        "endpoints": listed(
            record({"id": TEXT, "name": TEXT, "state": TEXT, "pending": _COUNT, "behind": _COUNT})
        ),
        "consumers": listed(TEXT),
        "forwards": listed(TEXT),
    }
)
_RECORDED: Final = record(
    {
        "section": TEXT,
        "name": TEXT,
        "checked": maybe(_COUNT),
        "refused": maybe(_COUNT),
        "reason": maybe(TEXT),
        "faults": listed(record({"pointer": TEXT, "code": TEXT, "events": _COUNT})),
    }
)
COMPONENTS: Final[Mapping[str, Shape]] = {
    "ContractWanted": {
        **record({"contract": TEXT}, optional={**_CONTRACT_FILES, "beside": listed(_BESIDE)}),
        "additionalProperties": False,
    },
    "Difference": record(
        {
            "sign": TEXT,
            "section": TEXT,
            "name": TEXT,
            "words": TEXT,
            "destructive": FLAG,
            "schema": maybe(ref("SchemaChange")),
        }
    ),
    "SchemaChange": record(
        {
            "from": _COUNT,
            "to": _COUNT,
            "compatibility": TEXT,
            "broken": FLAG,
            "fields": listed(record({"sign": TEXT, "pointer": TEXT, "was": maybe(TEXT), "now": maybe(TEXT)})),
            "more": FLAG,
        }
    ),
    "ContractApplied": record(
        {
            "partner": TEXT,
            "revision": _COUNT,
            "previous": maybe(_COUNT),
            "created": FLAG,
            "changed": FLAG,
            "dry_run": FLAG,
            "blocked": listed(TEXT),
            "plan": TEXT,
            "differences": listed(ref("Difference")),
            "hits": listed(_IMPACT),
            "recorded": listed(_RECORDED),
        },
        optional={
            "secrets": listed(record({"endpoint": TEXT, "secret": TEXT})),
            "secret_shown_before": FLAG,
        },
    ),
}
