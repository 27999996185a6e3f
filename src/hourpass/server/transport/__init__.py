"""The HTTP front: it carries requests to the application, and answers to the clients."""
