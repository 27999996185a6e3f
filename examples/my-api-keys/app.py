"""A page on which each customer of an API manages its own keys: list, create, rotate, revoke. It needs no JavaScript.

For each customer this backend has a delegated admin key, so hourpass itself keeps the customers apart: with that
key, this program sees and changes only keys whose subject begins with the customer's prefix.
"""

import hmac
import os
import secrets
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import httpx2
import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException

from hourpass.client import TokenSource
from hourpass.client.auth.httpx2 import HourpassAuth
from hourpass.core.errors import HourpassError

HOURPASS = os.environ.get("ADMIN_URL", "http://127.0.0.1:3601")
ADMIN_KEYS = Path(os.environ.get("ADMIN_KEYS") or Path.home() / "my-api-keys")
PASSWORDS = {"acme": "acme's password", "globex": "globex's password"}  # in the place of your own sign-in
FORM_SECRET = secrets.token_bytes(32)
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "referrer-policy": "no-referrer",
}
HERE = Path(__file__).parent
# It escapes what stands in a value. A customer chooses the names of its keys.
templates = Environment(loader=FileSystemLoader(HERE), autoescape=True)
page, problem = templates.get_template("page.html"), templates.get_template("problem.html")
app = FastAPI(openapi_url=None)
clients: dict[str, httpx2.AsyncClient] = {}


def customer(given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    """Who is signed in. Your own session takes the place of this."""
    right = PASSWORDS.get(given.username, secrets.token_hex())
    if not hmac.compare_digest(right.encode(), given.password.encode()):
        raise HTTPException(401, headers={"www-authenticate": "Basic"})
    return given.username


Customer = Annotated[str, Depends(customer)]
KeyId = Annotated[str, InPath(pattern="^[0-9A-Za-z]{1,40}$")]


def form_token(customer: str) -> str:
    """It proves that a form came from our page. Another site's page cannot know it."""
    return hmac.digest(FORM_SECRET, customer.encode(), "sha256").hex()


async def form(request: Request, customer: Customer) -> dict[str, list[str]]:
    """What a form of ours sent."""
    sent = parse_qs((await request.body()).decode("utf-8", "replace"))
    if not hmac.compare_digest(sent.get("form_token", [""])[0].encode(), form_token(customer).encode()):
        raise HTTPException(403, "This form is not from here, or too old. Open the page again.")
    return sent


Form = Annotated[dict[str, list[str]], Depends(form)]


async def ask(customer: str, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """Ask hourpass as this customer's admin key, which is exchanged for tokens and refreshed on its own."""
    if customer not in clients:
        source = TokenSource(HOURPASS, (ADMIN_KEYS / customer).read_text().strip())
        clients[customer] = httpx2.AsyncClient(base_url=f"{HOURPASS}/admin/v1", auth=HourpassAuth(source))
    try:
        answer = await clients[customer].request(method, path, **sent)
    except (httpx2.HTTPError, HourpassError):
        raise HTTPException(503, "The keys cannot be reached. Try again in a minute.") from None
    if answer.is_error:
        told = answer.status_code in {400, 404, 409, 422, 429}
        raise HTTPException(answer.status_code if told else 502, answer.json()["detail"] if told else None)
    return answer.json()


async def show(customer: str, made: dict[str, Any] | None = None) -> HTMLResponse:
    """The page. `made` is a key that was made or rotated now, which nobody can show again."""
    me = await ask(customer, "GET", "/me")
    keys = await ask(customer, "GET", "/keys", params={"limit": 200})
    scopes = me["max_scope"].split()
    # A form with the same `once` makes one key, however often it is sent.
    proofs = {"form_token": form_token(customer), "once": secrets.token_hex()}
    newest = sorted(keys["data"], key=lambda key: key["created_at"], reverse=True)
    text = page.render(customer=customer, keys=newest, scopes=scopes, made=made, **proofs)
    return HTMLResponse(text, headers=HEADERS)


@app.exception_handler(HTTPException)
async def tell(request: Request, error: HTTPException) -> HTMLResponse:
    """An error as a page."""
    words = error.detail[:1].upper() + error.detail[1:].removesuffix(".") + "."
    return HTMLResponse(problem.render(words=words), error.status_code, headers={**HEADERS, **(error.headers or {})})


@app.get("/page.css")
async def style() -> FileResponse:
    """How the page looks."""
    return FileResponse(HERE / "page.css")


@app.get("/")
async def keys_page(customer: Customer) -> HTMLResponse:
    """All keys of the customer."""
    return await show(customer)


@app.get("/keys")
async def back() -> RedirectResponse:
    """The address that a browser shows after a form."""
    return RedirectResponse("/", 303)


@app.post("/keys")
async def create(customer: Customer, sent: Form) -> HTMLResponse:
    """Make a key. Its subject begins with the customer's prefix, or hourpass refuses it."""
    asked = {"name": sent.get("name", [""])[0], "scope": " ".join(sent.get("scope", [])), "subject": f"{customer}/api"}
    once = {"idempotency-key": sent.get("once", [""])[0]}
    return await show(customer, await ask(customer, "POST", "/keys", json=asked, headers=once))


@app.post("/keys/{key_id}/rotate")
async def rotate(customer: Customer, key_id: KeyId, sent: Form) -> HTMLResponse:
    """Make the next secret. The old one goes on as long as nobody uses it, and then for a day."""
    once = {"idempotency-key": sent.get("once", [""])[0]}
    return await show(customer, await ask(customer, "POST", f"/keys/{key_id}/rotate", json={}, headers=once))


@app.post("/keys/{key_id}/revoke", dependencies=[Depends(form)])
async def revoke(customer: Customer, key_id: KeyId) -> RedirectResponse:
    """End a key, and all tokens that came from it."""
    await ask(customer, "POST", f"/keys/{key_id}/revoke", json={})
    return RedirectResponse("/", 303)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
