"""hourpass: keep the key at home, send an hour pass."""

__version__ = "0.1.0"
