"""A video API behind hourpass, with FastAPI. The middleware judges every request, and each route names its scope."""

import os
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from hourpass.verifier import Claims, Verifier
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.fastapi import require

ISSUER = os.environ.get("HOURPASS_ISSUER", "http://127.0.0.1:3600")
verifier = Verifier(issuer=ISSUER, audience=os.environ.get("HOURPASS_AUDIENCE", ISSUER))

app = FastAPI(title="Videos")
app.add_middleware(HourpassMiddleware, verifier=verifier, public=["/health", "/docs", "/openapi.json"])


@app.get("/health")
async def health() -> dict[str, str]:
    """Needs no token, and says how fresh the verifier's knowledge is."""
    status = verifier.status()
    return {"keys": status.keys, "revocations": status.revocations}


@app.get("/videos")
async def videos(caller: Annotated[Claims, Depends(require("videos.read"))]) -> dict[str, object]:
    """The caller's videos."""
    return {"owner": caller.sub, "videos": ["Harbour at dawn", "Night train"]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
