"""From an outbound record to a delivered webhook."""
