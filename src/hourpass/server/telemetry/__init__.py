"""What the operator learns: counts, metrics and log lines, which can neither flood nor block."""
