"""The commands of an operator: on the database, or to start the server."""
