"""The routes: one module for each group of them, their table, and the OpenAPI description."""
