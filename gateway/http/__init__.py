"""The doors: routes, problem documents, caps."""
