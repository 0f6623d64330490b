"""Where events live: one port, an embedded and a Kafka adapter."""
