"""The gateway: partner events in, signed webhooks out, every exchange provable."""
