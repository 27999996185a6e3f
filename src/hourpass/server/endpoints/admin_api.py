"""The admin API: `/admin/v1/…` on the admin listener. It turns requests into operations, and answers into JSON."""

import re
from functools import partial
from typing import Any, NamedTuple

import msgspec

from hourpass.admin import shapes
from hourpass.admin.http import in_query, read_body, read_query
from hourpass.admin.operations import DESCRIBE, LIST_EVENTS, ME, OPERATIONS, ROOT, Operation
from hourpass.admin.shapes import EventList, ListEvents
from hourpass.core.admin_access import require_in_token
from hourpass.core.caller import bucket
from hourpass.core.claims import Claims
from hourpass.core.errors import InvalidRequest, InvalidToken
from hourpass.core.key_shape import BEGINNING
from hourpass.core.policy import SECOND
from hourpass.core.requirement import Requirement, judge_token, nowhere
from hourpass.server.admin.administration import AdminKeyIdentity
from hourpass.server.admin.idempotency import KeyedCall
from hourpass.server.endpoints.admin_import import import_body
from hourpass.server.endpoints.admin_misread import NOT_JSON, misread
from hourpass.server.endpoints.admin_openapi import describe_admin
from hourpass.server.endpoints.admin_problem import Unauthenticated, admin_problem
from hourpass.server.issuing.issuer import Issuer
from hourpass.server.issuing.throttle import Throttle
from hourpass.server.run.admin_calls import UnderWay
from hourpass.server.run.admin_work import AdminWork, caller_name
from hourpass.server.settings.settings import Settings
from hourpass.server.store import Store
from hourpass.server.transport.render import JSON_HEADERS, MethodNotAllowed, NoSuchRoute
from hourpass.server.transport.request import Reply, Request
from hourpass.wire.reading import read_pairs
from hourpass.wire.shapes import encode

MOST_POLLS = 16
"""Polls for events that may wait with one admin key, so that they leave room for its other calls."""

MOST_IMPORTS = 4
"""Imports that may be under way with one admin key: each holds rows, and what became of those before."""

LONGEST_IF_MATCH = 2_000
"""Bytes of all If-Match headers together."""

MAX_FIELDS = 64
"""Fields of a query."""


class _Route(NamedTuple):
    pattern: re.Pattern[str]
    methods: dict[str, Operation[Any, Any]]


def _routes() -> list[_Route]:
    by_path: dict[str, dict[str, Operation[Any, Any]]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(ROOT + operation.path, {})[operation.method] = operation
    # A path without braces comes before one that would match it.
    ordered = sorted(by_path.items(), key=lambda item: item[0].count("{"))
    return [_Route(_pattern(path), methods) for path, methods in ordered]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


class AdminApi:
    """Answers the requests of the admin API. `timer` returns milliseconds that nobody can set."""

    def __init__(self, settings: Settings, issuer: Issuer, work: AdminWork, timer: Any) -> None:
        self._issuer = issuer
        self._work = work
        self._timer = timer
        self._polls, self._imports = UnderWay(MOST_POLLS), UnderWay(MOST_IMPORTS)
        self._failures = Throttle(settings.admin_limit)
        self._routes = _routes()
        self._description = shapes.Description(**describe_admin())
        self._realm = settings.realm
        self._needed = Requirement(issuer.admin_audience)

    async def answer(self, request: Request, request_id: str) -> Reply:
        """The answer to a request below `/admin/v1`.

        Raises:
            Refused: what `admin_problem` renders. Unavailable: if the storage fails.
        """
        operation, path = self._find(request)
        identity = self._identify(request, request_id)
        with self._work.calls.admit(caller_name(identity), self._timer()):
            # The role is asked in the transaction. Here, a token that says itself that it may not costs no more.
            require_in_token(identity.scope, operation.scope)
            if operation is DESCRIBE:
                await self._work.call(ME, shapes.Nothing(), identity)  # the caller's key must still be good
                return self._reply(operation, self._description)
            asked_once = idempotency_key(request) if operation.method == "POST" and not operation.streams else None
            asked = read_asked(operation, path, request)
            if operation.streams:
                with self._imports.one(caller_name(identity)):
                    imported = await import_body(request, asked, lambda batch: self._work.import_rows(batch, identity))
                return self._reply(operation, imported)
            if asked_once is None or operation.reads:
                if isinstance(asked, ListEvents):
                    return self._reply(operation, await self._poll(asked, identity))
                return self._reply(operation, await self._work.call(operation, asked, identity))

            def tell(answer: Any) -> Reply:
                if isinstance(answer, Exception):
                    return admin_problem(answer, self._realm, request_id)
                return self._reply(operation, answer)

            return await self._work.call_once(KeyedCall(asked_once, operation, asked, tell), identity)

    def _reply(self, operation: Operation[Any, Any], answer: Any) -> Reply:
        headers = [*JSON_HEADERS]
        if isinstance(answer, shapes.TaggedAnswer):
            headers.append((b"etag", b'"%b"' % answer.etag().encode()))
        return Reply(operation.status, headers, encode(answer))

    async def _poll(self, asked: ListEvents, identity: AdminKeyIdentity) -> EventList:
        """The events, after waiting for one if there is none. All who wait share one look at the trail."""
        news, ends = self._issuer.ledger.news, self._timer() + asked.wait * SECOND
        known = news.last
        answer = await self._work.call(LIST_EVENTS, asked, identity)
        if answer.data or self._polls.is_full(caller_name(identity)):
            return answer
        with self._polls.one(caller_name(identity)):
            while not answer.data and (left := ends - self._timer()) > 0:
                if not await news.wait(news.next_after(asked.after, answer.last, known), left / SECOND):
                    break
                known, asked = news.last, msgspec.structs.replace(asked, after=answer.last)
                answer = await self._work.call(LIST_EVENTS, asked, identity)
        return answer

    def _find(self, request: Request) -> tuple[Operation[Any, Any], dict[str, str]]:
        for route in self._routes:
            if (match := route.pattern.fullmatch(request.path)) is not None:
                operation = route.methods.get("GET" if request.method == "HEAD" else request.method)
                if operation is None:
                    raise MethodNotAllowed(", ".join([*route.methods, *(["HEAD"] if "GET" in route.methods else [])]))
                return operation, match.groupdict()
        raise NoSuchRoute

    def _identify(self, request: Request, request_id: str) -> AdminKeyIdentity:
        """Who calls, if that is proven. Wrong tokens are limited for each address."""
        try:
            return self._authenticate(request, request_id)
        except (Unauthenticated, InvalidToken, InvalidRequest):
            self._failures.admit(bucket(request.address()), self._timer())
            raise

    def _authenticate(self, request: Request, request_id: str) -> AdminKeyIdentity:
        """Who calls. The credential is an access token for the audience of the administration, and nothing else.

        Raises:
            Unauthenticated: if none came. InvalidToken: if it is not accepted.
        """
        credential = self._issuer.read_credential(request.headers)
        if credential is None:
            raise Unauthenticated
        if not isinstance(credential, bytes) or re.match(BEGINNING, credential.decode("latin-1")):
            raise InvalidToken(
                "malformed", "this is an API key: exchange it at /auth/api-key, and send the access token"
            )
        claims = self._judge(credential, request.now)

        def again(store: Store, now: int) -> None:
            self._judge(credential, now, store)

        return AdminKeyIdentity(claims.client_id, claims.scope, request.address(), request_id, judge=again)

    def _judge(self, credential: bytes, now: int, store: Store | None = None) -> Claims:
        """Judge an access token, in any thread, and in a transaction of a store if one is given.

        Raises InvalidToken, and Unavailable if revocations are too old.
        """
        verification = self._issuer.verification
        verification.require_fresh()
        verify = verification.verify if store is None else partial(verification.verify_as_stored, store)
        claims = verify(credential, now)
        judge_token(claims, self._needed, None, nowhere)
        return claims


def read_asked(operation: Operation[Any, Any], path: dict[str, str], request: Request) -> Any:
    """What a request asks of an operation.

    Raises:
        InvalidRequest: naming the member if one is wrong.
    """
    try:
        if in_query(operation):
            return read_query(operation, path, read_pairs(request.query, MAX_FIELDS, "the query is malformed"))
        return read_body(operation, path, request.body, if_match(request))
    except msgspec.ValidationError as error:
        raise misread(error, operation.asks) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidRequest(NOT_JSON) from None


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request, None if it has none.

    Raises:
        InvalidRequest: if there are several, or it is not 1 to 255 visible ASCII characters.
    """
    values = [value for name, value in request.headers if name == b"idempotency-key"]
    if not values:
        return None
    if len(values) > 1 or _IDEMPOTENCY_KEY.fullmatch(values[0]) is None:
        raise InvalidRequest("an Idempotency-Key is 1 to 255 visible ASCII characters")
    return values[0].decode()


def if_match(request: Request) -> str | None:
    """The strong tags of If-Match, separated by spaces. A weak one never matches (RFC 9110 §13.1.1).

    None if every state will do.

    Raises:
        InvalidRequest: if it is not a list of entity tags, or too long.
    """
    values = [value for name, value in request.headers if name == b"if-match"]
    told = b",".join(values).strip()
    if not values or told == b"*":
        return None
    if len(told) > LONGEST_IF_MATCH or _TAGS.fullmatch(told) is None:
        raise InvalidRequest("If-Match is not a list of entity tags")
    return " ".join(tag.decode() for weak, tag in _TAG.findall(told) if not weak)


_TAG = re.compile(rb'(W/)?"([!#-~]*)"')
# Each byte fits in one way only, so this is linear: a stranger's text must not make it try many ways.
_TAGS = re.compile(rb"(?:[ \t,]*%b[ \t]*(?=,|\Z))+[ \t,]*" % _TAG.pattern)
_IDEMPOTENCY_KEY = re.compile(rb"[!-~]{1,255}")
