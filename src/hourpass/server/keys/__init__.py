"""API keys, signing keys, and the master key that seals what signs."""
