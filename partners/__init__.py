"""Partners, their credentials, contracts and endpoints: values, rules and rows."""
