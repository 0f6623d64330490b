"""One linear schema history over the four rows modules."""
