import pytest

from schemas.errors import SubjectError
from schemas.subject import topic_record_subject, topic_value_subject, verify_subject


def test_subjects_are_made_from_topic_and_name() -> None:
    assert (
        topic_record_subject("partners.acme.inbound", "com.scms.Order")
        == "partners.acme.inbound-com.scms.Order"
    )
    assert topic_value_subject("partners.acme.outbound") == "partners.acme.outbound-value"


@pytest.mark.parametrize("subject", ["", "x" * 513, "a\nb", "a\x00"])
def test_what_can_be_no_subject_is_refused(subject: str) -> None:
    with pytest.raises(SubjectError):
        verify_subject(subject)
