"""Who is signed in to the console, and how an owner ends that."""

from collections.abc import Iterator

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment
from hourpass.core.admin_access import role_of
from hourpass.core.api_key import ApiKey
from hourpass.core.errors import NotFound
from hourpass.core.server_events import ConsoleSignedOut
from hourpass.core.sign_in import SignIn, is_signed_in, sign_in_name, still_signs_in
from hourpass.server.admin.context import Context


def list_sign_ins(ctx: Context, asked: shapes.Nothing) -> shapes.SignInList:
    """Who is signed in to the console. A delegated caller sees only its own sign-ins."""
    return shapes.SignInList(data=[_facts(one, key) for one, key in _all(ctx)])


def end_sign_in(ctx: Context, asked: shapes.SignInNamed) -> shapes.EndedSignIn:
    """End a sign-in. Whose it was must sign in again.

    Raises:
        NotFound: if nobody is signed in under this name.
    """
    for one, _ in _all(ctx):
        if sign_in_name(one) == asked.sign_in_id:
            ctx.store.end_sign_in(one.id_hash)
            ctx.store.append_audit(ctx.now, [ConsoleSignedOut(1, one.who, ctx.actor)])
            return shapes.EndedSignIn(sign_in_id=asked.sign_in_id, actor=one.who)
    raise NotFound("no sign-in has this name, or it has ended")


def _all(ctx: Context) -> Iterator[tuple[SignIn, ApiKey | None]]:
    for one in ctx.store.sign_ins():
        if ctx.caller.is_delegated and one.who != ctx.actor.name:
            continue
        key = None if one.key_id is None else ctx.store.key(one.key_id)
        if is_signed_in(one, ctx.now) and still_signs_in(one, key, ctx.now):
            yield one, key


def _facts(one: SignIn, key: ApiKey | None) -> shapes.SignInFacts:
    return shapes.SignInFacts(
        sign_in_id=sign_in_name(one),
        actor=one.who,
        key_id=one.key_id,
        name=key and key.name,
        role=(key and role_of(key)) or "owner",
        subject_prefix=key and key.subject_prefix,
        started_at=known_moment(one.started_at),
        seen_at=known_moment(one.seen_at),
        address=one.address,
    )
