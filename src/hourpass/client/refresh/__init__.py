"""Keeping a credential fresh: the decisions, the requests, and the cache."""
