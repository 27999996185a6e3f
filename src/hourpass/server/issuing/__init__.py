"""What the endpoints do: exchange, refresh, revoke, introspect, verify, and the revocation feed."""
