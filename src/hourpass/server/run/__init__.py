"""A running node: opening its database, what it is made of, and its background work."""
