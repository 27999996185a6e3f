"""What everybody may read: the JWK Set, the metadata of the authorization server, and the revocation feed."""

from hashlib import sha256

from hourpass.server.issuing.issuer import Issuer
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.shapes import JSON, encode

JWKS_MAX_AGE = 300
"""Seconds. It is half of the time for which a key is published before it signs."""


def cacheable(body: bytes, request: Request) -> Reply:
    """A document that may be cached for a while, and revalidated by its ETag (RFC 9110 §13.1.2)."""
    etag = b'"%b"' % sha256(body).hexdigest()[:16].encode()
    headers = [(b"cache-control", b"public, max-age=%d" % JWKS_MAX_AGE), (b"etag", etag)]
    if etag in (request.header(b"if-none-match") or b""):
        return Reply(304, headers)
    return Reply(200, [(b"content-type", JSON), *headers], body)


async def jwks(issuer: Issuer, request: Request) -> Reply:
    """The JWK Set (RFC 7517)."""
    return cacheable(encode({"keys": issuer.verification.jwks(request.now)}), request)


async def revocations(issuer: Issuer, request: Request) -> Reply:
    """The revocation feed: a signed snapshot, or a long poll for the entries after a number."""
    return Reply(*await issuer.verification.answer(request.query, request.now))


async def metadata(issuer: Issuer, request: Request) -> Reply:
    """Authorization server metadata (RFC 8414)."""
    url = issuer.url
    methods = ["client_secret_basic", "client_secret_post"]
    body = {
        "issuer": url,
        "token_endpoint": f"{url}/oauth/token",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "revocations_uri": f"{url}/auth/revocations",
        "revocation_endpoint": f"{url}/oauth/revoke",
        "introspection_endpoint": f"{url}/oauth/introspect",
        "grant_types_supported": ["client_credentials", "refresh_token"],
        "response_types_supported": ["none"],
        "token_endpoint_auth_methods_supported": [*methods, "none"],
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        "introspection_endpoint_auth_methods_supported": methods,
    }
    return cacheable(encode(body), request)
