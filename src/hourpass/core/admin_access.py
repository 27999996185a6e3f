"""Who may do what in the administration: roles and their scopes, and what a delegated admin key sees.

The command, the admin API and the console all ask here. A role, a prefix and a maximum scope are members of an API
key's record, which is read again for every call.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, get_args

from hourpass.core.actor import Actor
from hourpass.core.api_key import ApiKey, narrow_scope
from hourpass.core.errors import InsufficientScope, InvalidRequest, NotDelegated, NotFound

Role = Literal["owner", "operator", "auditor"]

ROLES: tuple[Role, ...] = get_args(Role)

AUDITOR = frozenset(
    {
        "keys:read",
        "grants:read",
        "audit:read",
        "signing-keys:read",
        "webhooks:read",
        "overview:read",
    }
)
OPERATOR = AUDITOR | {"keys:write", "grants:write", "tokens:write", "webhooks:write"}
ADMIN_WRITE = "admin:write"
"""The scope for every change of an admin key."""

OWNER = OPERATOR | {"signing-keys:write", "tokens:revoke-all", ADMIN_WRITE}

SCOPES: dict[Role, frozenset[str]] = {"owner": OWNER, "operator": OPERATOR, "auditor": AUDITOR}
"""Role -> the scopes of its tokens."""

DELEGATED = frozenset({"keys:read", "keys:write", "grants:read", "grants:write", "tokens:write", "audit:read"})
"""The scopes that a delegated admin key may have: each of them for its own subjects only."""

NOT_FOR_ADMINS = frozenset({"scope", "audiences", "claims", "self_rotation", "raw_until"})
"""Members that an admin key cannot have: its role says all that its tokens may do."""

NOT_DELEGATED = frozenset({"audiences", "claims", "external_id"})
"""Members that a delegated caller cannot set.

Audiences and claims could say more of a key than its maximum scope allows. An external id is unique among all keys, so
a refusal would tell which ones other subjects have.
"""


def admin_audience(issuer: str) -> str:
    """The audience of the tokens of admin keys. No other key can have it."""
    return f"{issuer}/admin"


def require_not_reserved(audiences: Iterable[str], issuer: str) -> None:
    """Refuse the audience of admin tokens for a key.

    Raises:
        InvalidRequest: if it is among them.
    """
    if admin_audience(issuer) in audiences:
        raise InvalidRequest("this audience is only for admin keys", name="audiences")


class AdminCaller(NamedTuple):
    """Who asks, and what they may do. `subject_prefix` and `max_scope` are those of a delegated admin key."""

    actor: Actor
    scopes: frozenset[str]
    key_id: str | None = None
    subject_prefix: str | None = None
    max_scope: str | None = None

    @property
    def is_delegated(self) -> bool:
        """Whether the caller is confined to the subjects that begin with its prefix."""
        return self.subject_prefix is not None


def owner(actor: Actor) -> AdminCaller:
    """The caller who has the database itself: somebody at the command line of its machine."""
    return AdminCaller(actor, OWNER)


def caller_of(key: ApiKey, scope: str | None, actor: Actor) -> AdminCaller:
    """The caller behind an admin key, as the key's record is now. `scope` is the token's, None for all of the role's.

    Raises:
        NotFound: if the key is not an admin key.
    """
    role = role_of(key)
    if role is None:
        raise NotFound("this is not an admin key")
    scopes = scopes_of_role(role, delegated=key.subject_prefix is not None)
    if scope is not None:
        scopes &= frozenset(scope.split())
    return AdminCaller(actor, scopes, key.key_id, key.subject_prefix, key.max_scope)


def role_of(key: ApiKey) -> Role | None:
    """The role of an admin key, None if it is not one."""
    return next((role for role in ROLES if role == key.admin), None)


def role_in_words(role: str, subject_prefix: str | None) -> str:
    """A role for people: `operator`, or `operator for acme/` if the admin key is delegated."""
    return role if subject_prefix is None else f"{role} for {subject_prefix}"


def scope_of_admin(key: ApiKey) -> str:
    """The scope of the tokens of an admin key, as a key's record has it."""
    return " ".join(sorted(scopes_of_role(role_of(key), delegated=key.subject_prefix is not None)))


def scopes_of_role(role: Role | None, *, delegated: bool) -> frozenset[str]:
    """The scopes that a role gives, none without a role. A delegated admin key has fewer."""
    scopes = SCOPES[role] if role else frozenset[str]()
    return scopes & DELEGATED if delegated else scopes


def may(caller: AdminCaller, scope: str, *, delegated: bool = True) -> bool:
    """Whether a caller may do what needs a scope. `delegated` says whether a delegated caller ever may."""
    return (not scope or scope in caller.scopes) and (delegated or not caller.is_delegated)


def require_allowed(caller: AdminCaller, scope: str, *, delegated: bool = True) -> None:
    """Refuse a caller who may not.

    Raises:
        InsufficientScope: if the caller does not have the scope.
        NotDelegated: if it has, and no delegated caller may.
    """
    if not may(caller, scope):
        raise InsufficientScope(scope)
    if not may(caller, scope, delegated=delegated):
        raise NotDelegated


def require_in_token(token_scope: str | None, scope: str) -> None:
    """Refuse an access token that does not hold a scope. This can be asked before the key's record is read.

    `token_scope` is None if the token has all scopes of its key's role.

    Raises:
        InsufficientScope: if the token does not hold the scope.
    """
    if scope and token_scope is not None and scope not in token_scope.split():
        raise InsufficientScope(scope)


def sees(caller: AdminCaller, key: ApiKey) -> bool:
    """Whether a caller may know of a key. Admin keys are never visible to a delegated caller."""
    return is_below(key, caller.subject_prefix)


def is_below(key: ApiKey, subject_prefix: str | None) -> bool:
    """Whether a key is one that a delegated admin key with this prefix sees. Without a prefix every key is."""
    return subject_prefix is None or (key.admin is None and key.subject.startswith(subject_prefix))


HIDDEN_ACTOR = "operator"
"""Who did something, to a caller who may not know that."""


def sees_actor(caller: AdminCaller, actor: str | None) -> bool:
    """Whether a caller may know who did something, from which address and in which request.

    A delegated caller knows its own clients and itself. The names of other administrators are not its business.
    """
    return caller.subject_prefix is None or actor in {"client", "server", f"key:{caller.key_id}"}


def sees_whole_url(caller: AdminCaller) -> bool:
    """Whether a caller may know all of a webhook's URL. Its path can be a secret, so who only reads sees the origin."""
    return may(caller, "webhooks:write")


def may_change(caller: AdminCaller, role: str | None) -> bool:
    """Whether a caller who may change keys may change one with this role, which is None if it is not an admin key."""
    return role is None or may(caller, ADMIN_WRITE)


def require_changeable(caller: AdminCaller, key: ApiKey) -> None:
    """Refuse a caller who may read a key and not change it.

    Raises:
        InsufficientScope: if it is an admin key, and the caller does not have `admin:write`.
    """
    if not may_change(caller, key.admin):
        raise InsufficientScope(ADMIN_WRITE)


def require_settable(caller: AdminCaller, given: Collection[str]) -> None:
    """Refuse members that the caller must not set, before anything is made of them.

    Raises:
        InvalidRequest: naming the member, if the caller is delegated and it is not for such callers.
        InsufficientScope: if the member is one of admin keys, and the caller does not have `admin:write`.
    """
    if not {"admin", "subject_prefix", "max_scope"}.isdisjoint(given):
        require_allowed(caller, ADMIN_WRITE)
    if forbidden := sorted(name for name in given if not may_set(caller, name)):
        raise InvalidRequest(f"a delegated admin key cannot set {forbidden[0]}", name=forbidden[0])


def may_set(caller: AdminCaller, name: str) -> bool:
    """Whether a caller who may make and change keys may ever set a member of them."""
    return not (caller.is_delegated and name in NOT_DELEGATED)


def require_giveable(caller: AdminCaller, key: ApiKey) -> None:
    """Refuse to make a key, to change it, or to give it life or a secret, if the caller could not make it as it is.

    What ends a key does not ask this.

    Raises:
        InvalidRequest: naming the member that is beyond a delegated caller.
    """
    if caller.subject_prefix is None:
        return
    if not key.subject.startswith(caller.subject_prefix):
        raise InvalidRequest(f"the subject must begin with {caller.subject_prefix}", name="subject")
    if narrow_scope(caller.max_scope or "", key.scope) is None:
        raise InvalidRequest("the scope is more than this admin key may give", name="scope")
    for name, has in (("audiences", key.audience or key.more_audiences), ("claims", key.claims)):
        if has:
            raise InvalidRequest(f"the key has {name}, which a delegated admin key cannot give", name=name)


def prefix_note(prefix: str) -> str | None:
    """What to say of a prefix of subjects that does not end with a slash. None if there is nothing to say."""
    if prefix.endswith("/"):
        return None
    return f"The prefix {prefix} fits the subject {prefix}-two, too. End it with a slash: {prefix}/"


def require_whole(key: ApiKey, given: Collection[str]) -> ApiKey:
    """Check the members of a key that only admin keys have, and return it with the scope that they give it.

    `given` names the members that were set.

    Raises:
        InvalidRequest: naming the member, if they do not fit together.
    """
    if key.admin is None:
        for name in ("subject_prefix", "max_scope"):
            if getattr(key, name) is not None:
                raise InvalidRequest(f"only an admin key has a {name}", name=name)
        return key
    if refused := sorted(NOT_FOR_ADMINS & set(given)):
        raise InvalidRequest(f"an admin key has no {refused[0]}: its role says what it may do", name=refused[0])
    if key.environment != "production":
        raise InvalidRequest("an admin key is of the environment production", name="environment")
    if (key.subject_prefix is None) != (key.max_scope is None):
        missing = "max_scope" if key.max_scope is None else "subject_prefix"
        raise InvalidRequest("a delegated admin key has both a subject prefix and a maximum scope", name=missing)
    if key.subject_prefix is not None and key.admin != "operator":
        raise InvalidRequest("a delegated admin key is an operator", name="admin")
    return key._replace(scope=scope_of_admin(key))
