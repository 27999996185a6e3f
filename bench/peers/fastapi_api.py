"""Peer: an API on FastAPI that checks tokens in a dependency with PyJWT, and the same API behind our middleware.

`python fastapi_api.py PORT pyjwt|hourpass ISSUER`. The key is fetched once, and the dependency is
asynchronous, so that no thread is needed: PyJWT's best case. Both judge the issuer's own ES256 tokens.
"""

import sys
import urllib.request
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer


def signing_key(issuer):
    with urllib.request.urlopen(f"{issuer}/.well-known/jwks.json") as answer:
        return jwt.PyJWKSet.from_json(answer.read()).keys[0].key


def api(dependency):
    app = FastAPI()

    @app.get("/videos")
    async def videos(subject: Annotated[str, Depends(dependency)]):
        return {"active": True, "sub": subject}

    return app


def with_pyjwt(issuer):
    key = signing_key(issuer)

    async def subject(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
        try:
            return jwt.decode(bearer.credentials, key, ["ES256"], audience=issuer, issuer=issuer)["sub"]
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None

    return api(subject)


def without():
    async def subject():
        return "anybody"

    return api(subject)


def with_hourpass(issuer):
    from fastapi import Request

    from hourpass.verifier import Verifier
    from hourpass.verifier.asgi import HourpassMiddleware

    async def subject(request: Request):
        return request.scope["hourpass"].sub

    app = api(subject)
    app.add_middleware(HourpassMiddleware, verifier=Verifier(issuer=issuer, audience=issuer))
    return app


if __name__ == "__main__":
    import uvicorn

    port, kind, issuer = sys.argv[1:]
    app = {"pyjwt": with_pyjwt, "hourpass": with_hourpass}[kind](issuer)
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", log_level="warning", access_log=False)
