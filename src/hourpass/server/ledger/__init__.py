"""The ledger: it settles exchanges, refreshes and revocations together, one transaction for each batch."""
