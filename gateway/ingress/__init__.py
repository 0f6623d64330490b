"""From a request to a durable, signed event."""
