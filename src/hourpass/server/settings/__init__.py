"""The settings: read, parsed and checked."""
