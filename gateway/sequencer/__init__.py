"""Records and pending evidence into the audit logs, exactly once; heads signed, published, served."""
