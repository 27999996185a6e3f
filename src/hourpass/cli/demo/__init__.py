"""The demo: a server, a small protected API and a first key."""
