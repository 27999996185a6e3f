"""The agent: it keeps a token fresh, and hands it to other processes."""
