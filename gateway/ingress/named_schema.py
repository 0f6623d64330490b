"""What a sender's `dataschema` says about the version that its data is of.

A URI of ours names one schema, and binds: the data is read under that one. Any other URI is the sender's own
affair: it is allowed, judged by nobody, and not kept, since the record names the schema of ours.
Source: CloudEvents 1.0.2, section 3.2, "dataschema".
"""

import re
from dataclasses import replace
from typing import Final

from gateway.ingress.form import Form
from gateway.ingress.outcome import Refused

_PATH: Final = re.compile(r"/v1/schemas/([1-9][0-9]{0,8})", re.ASCII)


def bind_form(form: Form, uri: str | None, origin: str) -> Form | Refused:
    """The form of data with the schema that its `dataschema` names, where it is one of ours."""
    if uri is None or not uri.startswith(f"{origin}/"):
        return form
    match = _PATH.fullmatch(uri.removeprefix(origin))
    if match is None:
        detail = (
            f"The event's dataschema is no schema of this gateway: those are {origin}/v1/schemas/ and an id."
        )
        return Refused("schema_version_unknown", detail)
    schema_id = int(match[1])
    if form.schema_id not in {None, schema_id}:
        detail = "The event's dataschema names another schema than the data does; leave dataschema out."
        return Refused("event_attribute_invalid", detail)
    return replace(form, schema_id=schema_id)
