"""Roles, scopes and delegated admin keys."""

import pytest

from hourpass.core.actor import SERVER, Actor, key_of_actor
from hourpass.core.admin_access import (
    DELEGATED,
    SCOPES,
    AdminCaller,
    admin_audience,
    caller_of,
    may,
    owner,
    prefix_note,
    require_allowed,
    require_changeable,
    require_giveable,
    require_in_token,
    require_not_reserved,
    require_settable,
    require_whole,
    role_in_words,
    role_of,
    scope_of_admin,
    sees,
    sees_actor,
    sees_whole_url,
)
from hourpass.core.api_key import ApiKey
from hourpass.core.errors import InsufficientScope, InvalidRequest, NotDelegated, NotFound

ACTOR = Actor("key:k")


def key(**members) -> ApiKey:
    return ApiKey("k", "name", "acme/1", "", "production", None, None, (), 0)._replace(**members)


DELEGATED_KEY = key(admin="operator", subject_prefix="acme/", max_scope="a b")


def test_an_actor_is_a_key_or_none():
    actors = (ACTOR, SERVER, Actor("cli:key:k@host"), Actor("client"))

    assert [key_of_actor(each.name) for each in actors] == ["k", None, None, None]
    assert key_of_actor(None) is None


def test_the_role_of_a_delegated_key_says_for_whom_it_is():
    assert (role_in_words("owner", None), role_in_words("operator", "acme/")) == ("owner", "operator for acme/")


def test_each_role_may_what_the_one_below_it_may():
    assert SCOPES["auditor"] < SCOPES["operator"] < SCOPES["owner"]
    assert all(scope.endswith(":read") for scope in SCOPES["auditor"])


def test_an_owner_at_the_command_line_may_everything():
    caller = owner(ACTOR)

    assert caller.scopes == SCOPES["owner"]
    assert not caller.is_delegated
    assert sees(caller, key(admin="owner"))


def test_a_caller_has_the_scopes_of_its_role_which_its_token_has_too():
    assert caller_of(key(admin="auditor"), None, ACTOR).scopes == SCOPES["auditor"]
    assert caller_of(key(admin="auditor"), "keys:read keys:write", ACTOR).scopes == {"keys:read"}


def test_a_key_without_a_role_is_not_a_caller():
    for role in (None, "wizard"):
        assert role_of(key(admin=role)) is None
        assert scope_of_admin(key(admin=role)) == ""
        with pytest.raises(NotFound):
            caller_of(key(admin=role), None, ACTOR)


def test_a_delegated_caller_has_no_scope_beyond_keys_grants_tokens_and_audit():
    caller = caller_of(DELEGATED_KEY, None, ACTOR)

    assert caller.is_delegated
    assert caller.scopes == DELEGATED
    assert scope_of_admin(DELEGATED_KEY).split() == sorted(DELEGATED)


@pytest.mark.parametrize(
    ("actor", "seen"),
    [("client", True), ("server", True), ("key:k", True), ("key:other", False), ("cli:ada@desk", False), (None, False)],
)
def test_a_delegated_caller_knows_its_clients_and_itself_and_nobody_else_who_acted(actor, seen):
    assert sees_actor(caller_of(DELEGATED_KEY, None, ACTOR), actor) is seen
    assert sees_actor(owner(ACTOR), actor)


def test_only_who_may_change_a_webhook_sees_its_whole_url():
    assert [sees_whole_url(caller_of(key(admin=role), None, ACTOR)) for role in ("owner", "operator", "auditor")] == [
        True,
        True,
        False,
    ]
    assert not sees_whole_url(caller_of(key(admin="owner"), "webhooks:read", ACTOR))


def test_a_caller_needs_the_scope_and_a_delegated_one_an_operation_for_it():
    auditor, delegated = caller_of(key(admin="auditor"), None, ACTOR), caller_of(DELEGATED_KEY, None, ACTOR)

    assert may(auditor, "keys:read", delegated=False)
    assert may(auditor, "")
    assert not may(auditor, "keys:write")
    assert may(delegated, "keys:write")
    assert not may(delegated, "audit:read", delegated=False)
    with pytest.raises(InsufficientScope) as refused:
        require_allowed(auditor, "keys:write")
    assert refused.value.scope == "keys:write"
    require_allowed(delegated, "audit:read")
    with pytest.raises(NotDelegated) as refused:
        require_allowed(delegated, "audit:read", delegated=False)
    assert refused.value.scope == ""


def test_a_delegated_caller_sees_its_subjects_and_no_admin_key():
    caller = caller_of(DELEGATED_KEY, None, ACTOR)

    assert sees(caller, key(subject="acme/"))
    assert not sees(caller, key(subject="acme"))
    assert not sees(caller, key(subject="other/acme/1"))
    assert not sees(caller, key(subject="acme/1", admin="auditor"))


@pytest.mark.parametrize(
    ("token_scope", "scope", "holds"),
    [
        (None, "keys:write", True),
        ("keys:read audit:read", "audit:read", True),
        ("keys:read", "", True),
        ("keys:read", "keys:write", False),
        ("keys:read", "read", False),
        ("", "keys:read", False),
    ],
)
def test_a_token_says_itself_which_scopes_it_does_not_hold(token_scope, scope, holds):
    if holds:
        require_in_token(token_scope, scope)
    else:
        with pytest.raises(InsufficientScope):
            require_in_token(token_scope, scope)


def test_only_an_owner_changes_an_admin_key():
    operator = caller_of(key(admin="operator"), None, ACTOR)

    require_changeable(operator, key())
    require_changeable(owner(ACTOR), key(admin="owner"))
    with pytest.raises(InsufficientScope):
        require_changeable(operator, key(admin="auditor"))


@pytest.mark.parametrize(
    ("beyond", "name"),
    [
        ({"subject": "other/1"}, "subject"),
        ({"scope": "a c"}, "scope"),
        ({"audience": "https://billing.example"}, "audiences"),
        ({"more_audiences": ("https://billing.example",)}, "audiences"),
        ({"claims": (("tenant", "acme"),)}, "claims"),
    ],
)
def test_a_delegated_caller_gives_life_only_to_keys_that_it_could_make(beyond, name):
    caller = caller_of(DELEGATED_KEY, None, ACTOR)

    require_giveable(caller, key(scope="a", external_id="42", allowed_ips=("10.0.0.0/8",)))
    require_giveable(owner(ACTOR), key(**beyond))
    with pytest.raises(InvalidRequest) as refused:
        require_giveable(caller, key(**beyond))
    assert refused.value.name == name


def test_a_delegated_caller_without_a_maximum_scope_gives_none():
    caller = AdminCaller(ACTOR, DELEGATED, "k", "acme/", None)

    require_giveable(caller, key())
    with pytest.raises(InvalidRequest):
        require_giveable(caller, key(scope="a"))


@pytest.mark.parametrize("name", ["audiences", "claims", "external_id"])
def test_a_delegated_caller_does_not_set_what_says_more_than_its_scope_or_is_unique_among_all(name):
    require_settable(owner(ACTOR), {name})
    with pytest.raises(InvalidRequest) as refused:
        require_settable(caller_of(DELEGATED_KEY, None, ACTOR), {"name", name})
    assert refused.value.name == name


@pytest.mark.parametrize("name", ["admin", "subject_prefix", "max_scope"])
def test_only_an_owner_sets_what_makes_an_admin_key(name):
    require_settable(owner(ACTOR), {name})
    with pytest.raises(InsufficientScope):
        require_settable(caller_of(key(admin="operator"), None, ACTOR), {name})


def test_the_scope_of_an_admin_key_is_that_of_its_role():
    assert require_whole(key(admin="auditor"), {"admin", "name"}).scope.split() == sorted(SCOPES["auditor"])
    assert require_whole(key(scope="a"), {"scope"}).scope == "a"


@pytest.mark.parametrize(
    ("made", "given", "name"),
    [
        (key(subject_prefix="acme/"), {"subject_prefix"}, "subject_prefix"),
        (key(max_scope="a"), {"max_scope"}, "max_scope"),
        (key(admin="owner"), {"admin", "scope"}, "scope"),
        (key(admin="owner"), {"claims"}, "claims"),
        (key(admin="owner", environment="sandbox"), {"admin"}, "environment"),
        (key(admin="operator", subject_prefix="acme/"), {"subject_prefix"}, "max_scope"),
        (key(admin="operator", max_scope="a"), {"max_scope"}, "subject_prefix"),
        (key(admin="owner", subject_prefix="acme/", max_scope="a"), {"admin"}, "admin"),
    ],
)
def test_members_of_an_admin_key_that_do_not_fit_together_are_named(made, given, name):
    with pytest.raises(InvalidRequest) as refused:
        require_whole(made, given)

    assert refused.value.name == name


def test_the_audience_of_the_administration_is_for_admin_keys_alone():
    require_not_reserved(["https://id.example"], "https://id.example")
    with pytest.raises(InvalidRequest):
        require_not_reserved(["x", admin_audience("https://id.example")], "https://id.example")


def test_a_prefix_without_a_slash_at_its_end_is_told_to_fit_more_subjects():
    assert prefix_note("acme") == "The prefix acme fits the subject acme-two, too. End it with a slash: acme/"
    assert prefix_note("acme/") is None
