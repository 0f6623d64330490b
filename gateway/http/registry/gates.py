"""The registry's part of the route table. Paths are matched as they were sent: a `%2F` stays in its subject.

Our side does everything; partners read what belongs to their own topics. All but reading asks for the scope
`send`, which operators and teams have: who registers a schema is about to send data of it.
"""

from collections.abc import Sequence
from typing import Final

from gateway.http.guard import Answer, Gate
from gateway.http.registry import about, comparing, schemas, subjects, terms
from gateway.http.registry.shape import PREFIX
from partners.credential import Role

_ALL: Final[frozenset[Role]] = frozenset({"partner", "team", "operator"})
_HOUSE: Final[frozenset[Role]] = frozenset({"team", "operator"})


def _read(path: str, answer: Answer) -> Gate:
    return Gate("GET", PREFIX + path, "registry", _ALL, None, answer)


def _ask(path: str, answer: Answer) -> Gate:
    """A question with a schema in its body: nothing is changed."""
    return Gate("POST", PREFIX + path, "registry", _ALL, "send", answer)


def _change(method: str, path: str, answer: Answer) -> Gate:
    return Gate(method, PREFIX + path, "registry", _HOUSE, "send", answer)


_VERSIONS: Final = "/subjects/{subject}/versions"
_VERSION: Final = "/subjects/{subject}/versions/{version}"
_COMPARED: Final = "/compatibility/subjects/{subject}/versions"

GATES: Final[Sequence[Gate]] = (
    _read("", about.show_root),
    _read("/", about.show_root),
    _read("/v1/metadata/id", about.show_cluster),
    _read("/v1/metadata/version", about.show_version),
    _read("/contexts", about.list_contexts),
    _read("/associations/resources/{namespace}/{name}", about.list_associations),
    _read("/schemas/types", schemas.list_schema_types),
    _read("/schemas/ids/{id}", schemas.show_schema),
    _read("/schemas/ids/{id}/schema", schemas.show_schema_text),
    _read("/schemas/ids/{id}/subjects", schemas.list_schema_subjects),
    _read("/schemas/ids/{id}/versions", schemas.list_schema_versions),
    _read("/schemas/guids/{guid}", schemas.show_schema_by_guid),
    _read("/schemas/guids/{guid}/ids", schemas.list_ids_of_guid),
    _read("/subjects", subjects.list_subjects),
    _ask("/subjects/{subject}", subjects.look_up),
    _change("DELETE", "/subjects/{subject}", subjects.delete_subject),
    _read("/subjects/{subject}/metadata", subjects.show_newest),
    _read(_VERSIONS, subjects.list_versions),
    _change("POST", _VERSIONS, subjects.register),
    _read(_VERSION, subjects.show_version),
    _change("DELETE", _VERSION, subjects.delete_version),
    _read(f"{_VERSION}/schema", subjects.show_version_text),
    _read(f"{_VERSION}/referencedby", subjects.show_referrers),
    _ask(_COMPARED, comparing.compare_with_subject),
    _ask(f"{_COMPARED}/{{version}}", comparing.compare_with_version),
    _read("/config", terms.show_level),
    _change("PUT", "/config", terms.set_level),
    _change("DELETE", "/config", terms.delete_level),
    _read("/config/{subject}", terms.show_subject_level),
    _change("PUT", "/config/{subject}", terms.set_subject_level),
    _change("DELETE", "/config/{subject}", terms.delete_subject_level),
    _read("/mode", terms.show_mode),
    _change("PUT", "/mode", terms.set_mode),
    _change("DELETE", "/mode", terms.delete_mode),
    _read("/mode/{subject}", terms.show_subject_mode),
    _change("PUT", "/mode/{subject}", terms.set_subject_mode),
    _change("DELETE", "/mode/{subject}", terms.delete_subject_mode),
)
