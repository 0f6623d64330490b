"""Erasure of events: of one in one transaction, of many as a job, and of what is past its time; and holds."""
