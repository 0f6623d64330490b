"""What the registry refuses, with the number and the wording that its clients know.

Source: Confluent Schema Registry API, error codes.
"""

from collections.abc import Sequence
from typing import Final

from schemas.errors import SchemasError

LATEST: Final = 'Allowed values are between [1, 2^31-1] and the string "latest"'


class RegistryError(SchemasError):
    """The registry does not do it. `number`: Confluent's error code; its first three digits are a status.

    `details`: further lines of the text, one for each reason.
    """

    code = "registry_refused"

    def __init__(self, number: int, text: str, details: Sequence[str] = ()) -> None:
        """Take the text as clients see it; it names subjects, versions and ids, never content."""
        super().__init__(text)
        self.number = number
        self.text = text
        self.details = tuple(details)


def subject_unknown(subject: str) -> RegistryError:
    """No version of the subject is there, or it is not the caller's."""
    return RegistryError(40401, f"Subject '{subject}' not found.")


def version_unknown(number: int | str) -> RegistryError:
    """The subject has no such version."""
    return RegistryError(40402, f"Version {number} not found.")


def schema_unknown() -> RegistryError:
    """No schema of this id, GUID or text, or it is not the caller's."""
    return RegistryError(40403, "Schema not found")


def version_invalid(word: str) -> RegistryError:
    """A text that can be no version."""
    return RegistryError(42202, f"The specified version '{word[:40]}' is not a valid version id. {LATEST}")


def schema_invalid(reason: str) -> RegistryError:
    """A schema that must not be used; clients look for the first two words."""
    return RegistryError(42201, f"Invalid schema of type AVRO, details: {reason}")


def not_permitted(reason: str) -> RegistryError:
    """The mode, or a contract, does not let it happen."""
    return RegistryError(42205, reason)


def id_taken(schema_id: int, reason: str) -> RegistryError:
    """A schema was to have an id that it cannot have."""
    return RegistryError(42207, f"Overwrite new schema with id {schema_id} is not permitted: {reason}")


def incompatible(subject: str, details: Sequence[str]) -> RegistryError:
    """The subject's level does not let the schema in; clients look for this sentence."""
    text = f'Schema being registered is incompatible with an earlier schema for subject "{subject}"'
    return RegistryError(409, text, details)
