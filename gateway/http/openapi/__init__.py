"""The API described: an OpenAPI document made of the route table and a contract, and a page made of that."""
