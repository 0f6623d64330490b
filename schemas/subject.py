"""Names under which schemas are registered.

Source: Confluent subject name strategies (TopicName, TopicRecordName).
"""

from typing import Final

from schemas.errors import SubjectError

LONGEST_SUBJECT: Final = 512


def topic_record_subject(topic: str, record: str) -> str:
    """The subject of one event type on a topic: `<topic>-<schema full name>`."""
    return verify_subject(f"{topic}-{record}")


def topic_value_subject(topic: str) -> str:
    """The subject that a stock serializer asks for: `<topic>-value`."""
    return verify_subject(f"{topic}-value")


def verify_subject(subject: str) -> str:
    """A subject that can be stored and shown.

    Raises:
        SubjectError: empty, longer than 512 characters, or with a character that does not print.
    """
    if not 1 <= len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise SubjectError(f"a subject has 1 to {LONGEST_SUBJECT} printable characters")
    return subject
