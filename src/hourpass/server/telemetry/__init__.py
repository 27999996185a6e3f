"""What the operator sees: counts, metrics and log lines. They never flood the log and never block the server."""
