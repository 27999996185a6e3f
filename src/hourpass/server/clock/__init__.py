"""The clock of a node, which is compared with the database's."""
