"""The HTTP front: what carries the application to its clients."""
