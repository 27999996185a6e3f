"""The administration as its callers see it: what can be asked, what is answered, and how to ask over HTTP.

The command, the admin API and the console share it. What is done is in `hourpass.server.admin`.
"""
