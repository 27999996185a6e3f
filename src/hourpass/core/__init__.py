"""The rules of hourpass, pure: no I/O, no clock, no randomness, no third-party import."""
