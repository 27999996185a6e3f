"""The HTTP contract, for both sides.

This is the only place that knows the source's spellings (`apiKey`, `refreshToken`), the media types, the challenge and
the identity headers. Each of them stands once. It decides nothing.
"""
