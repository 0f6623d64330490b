"""The anchor: one log over the blinded heads of all others, which witnesses cosign."""
