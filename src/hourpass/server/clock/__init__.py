"""The time of a node, compared with the database's."""
