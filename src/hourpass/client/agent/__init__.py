"""The agent: keeps a token fresh, and passes it on to other processes."""
