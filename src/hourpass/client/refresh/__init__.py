"""Keeping a credential fresh: what is decided, who acts, and where it is kept."""
