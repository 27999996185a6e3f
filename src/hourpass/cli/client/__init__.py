"""The commands of a client: a token from the cache, the agent or the server."""
