"""The administration's use cases: a function for each operation of `hourpass.admin.operations`."""
