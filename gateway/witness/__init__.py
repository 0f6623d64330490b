"""A witness: cosigns checkpoints of logs that only grew. A program of its own, which knows no gateway."""
