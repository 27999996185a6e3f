"""A video API behind hourpass, with Flask. The WSGI middleware judges every request, and knows the routes' scopes."""

import os

from flask import Flask, request

from hourpass.verifier import Verifier
from hourpass.verifier.wsgi import HourpassMiddleware

ISSUER = os.environ.get("HOURPASS_ISSUER", "http://127.0.0.1:3600")
verifier = Verifier(issuer=ISSUER, audience=os.environ.get("HOURPASS_AUDIENCE", ISSUER))

app = Flask(__name__)
app.wsgi_app = HourpassMiddleware(
    app.wsgi_app,
    verifier=verifier,
    public=["/health"],
    scopes={"/videos": "videos.read"},
)


@app.get("/health")
def health() -> dict[str, str]:
    """Needs no token, and says how fresh the verifier's knowledge is."""
    status = verifier.status()
    return {"keys": status.keys, "revocations": status.revocations}


@app.get("/videos")
def videos() -> dict[str, object]:
    """The caller's videos."""
    return {"owner": request.environ["hourpass.claims"].sub, "videos": ["Harbour at dawn", "Night train"]}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
