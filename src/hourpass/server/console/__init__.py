"""The console: pages for the operator, rendered here from the same use cases as the command and the admin API."""
