"""Avro schemas and what partners may say: validation, codecs, registry."""
