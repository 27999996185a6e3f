"""Where scanners report leaked keys: GitHub's secret scanning partner programme."""

from hourpass.server.issuing.issuer import Issuer
from hourpass.server.transport.render import NO_STORE
from hourpass.server.transport.request import Reply, Request


async def github(issuer: Issuer, request: Request) -> Reply:
    """Take GitHub's report of leaked keys. The answer never says which of them are keys of ours."""
    identifier, signature = (
        (request.header(name) or b"").decode("latin-1")
        for name in (b"github-public-key-identifier", b"github-public-key-signature")
    )
    await issuer.leak_reports.take(request.body, identifier, signature, request.address(), request.now)
    return Reply(200, NO_STORE)
