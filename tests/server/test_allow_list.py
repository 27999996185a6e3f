"""A key that may be used from some addresses only, and how the server learns a caller's address."""

import pytest
from tests.server.conftest import key_id_of
from tests.server.test_api_keys import basic
from tests.server.test_verify import invalid

from hourpass.core.errors import InvalidRequest
from hourpass.server.transport.request import Request

PROXY = "127.0.0.1"
OFFICE = ("192.0.2.0/24", "2001:db8::/32")


async def exchange(server, key, address, *forwarded):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return await server.client(address).post("/auth/api-key", json={"apiKey": key}, headers=headers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("192.0.2.0", 200),
        ("192.0.2.255", 200),
        ("192.0.3.0", 400),
        ("192.0.1.255", 400),
        ("2001:db8::1", 200),
        ("2001:db9::1", 400),
        ("::ffff:192.0.2.7", 200),
        ("::ffff:192.0.3.7", 400),
        ("127.0.0.1", 400),
        ("", 400),
        ("localhost", 400),
    ],
)
async def test_a_key_is_accepted_from_its_networks_alone(server, address, status):
    key = await server.create_key(allowed_ips=OFFICE)

    answer = await exchange(server, key, address)

    assert answer.status_code == status
    assert status == 200 or answer.json()["reason"] == "address_not_allowed"


async def verified(server, token, address, *forwarded):
    headers = [("authorization", f"Bearer {token}"), *(("x-forwarded-for", value) for value in forwarded)]
    return (await server.client(address).get("/auth/verify", headers=headers)).status_code


def at_once(server, token, address):
    """The status of an answer without a wait. None if something must be looked up."""
    headers = ((b"authorization", f"Bearer {token}".encode()),)
    reply = server.app.answer_at_once(Request("GET", "/auth/verify", b"", headers, address))
    return reply and reply.status


@pytest.mark.anyio
async def test_a_stranger_with_a_wrong_key_learns_nothing_of_the_list(server):
    await server.create_key(allowed_ips=OFFICE)

    assert "reason" not in (await exchange(server, "wrong", "198.51.100.1")).json()


FORWARDED = {
    "through a trusted proxy": (PROXY, ["192.0.2.7"], 200),
    "from elsewhere through a trusted proxy": (PROXY, ["198.51.100.1"], 400),
    "an untrusted peer that claims an address": ("198.51.100.1", ["192.0.2.7"], 400),
    "a good peer that claims another address": ("192.0.2.7", ["198.51.100.1"], 200),
    "a spoofed first hop": (PROXY, ["192.0.2.7, 198.51.100.1"], 400),
    "a spoofed first hop, the true one last": (PROXY, ["198.51.100.1, 192.0.2.7"], 200),
    "two trusted proxies": (PROXY, ["192.0.2.7, 127.0.0.1"], 200),
    "an untrusted proxy between": (PROXY, ["192.0.2.7, 198.51.100.1, 127.0.0.1"], 400),
    "spaces around": (PROXY, ["  192.0.2.7  "], 200),
    "IPv6": (PROXY, ["2001:db8::7"], 200),
    "no address at all": (PROXY, ["unknown"], 400),
    "an empty header": (PROXY, [""], 400),
    "a port": (PROXY, ["192.0.2.7:44321"], 200),
    "a port, from elsewhere": (PROXY, ["198.51.100.1:44321"], 400),
    "brackets": (PROXY, ["[2001:db8::7]"], 200),
    "brackets and a port": (PROXY, ["[2001:db8::7]:443"], 200),
    "mapped": (PROXY, ["::ffff:192.0.2.7"], 200),
    "a trusted proxy with its port": (PROXY, ["192.0.2.7, 127.0.0.1:8080"], 200),
    "a port that is none": (PROXY, ["192.0.2.7:http"], 400),
    "an empty hop": (PROXY, ["192.0.2.7,"], 400),
    "not ASCII": (PROXY, ["192.0.2.7, \xe9"], 400),
}


@pytest.mark.anyio
@pytest.mark.parametrize(("peer", "forwarded", "status"), FORWARDED.values(), ids=FORWARDED.keys())
async def test_only_a_trusted_proxy_speaks_for_others(server, peer, forwarded, status):
    """The nearest address that is not a trusted proxy's is the caller's. Everything beyond it is hearsay."""
    key = await server.create_key(allowed_ips=OFFICE)

    assert (await exchange(server, key, peer, *forwarded)).status_code == status


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("lines", "status"),
    [(["192.0.2.7", "198.51.100.1"], 400), (["198.51.100.1", "192.0.2.7"], 200)],
    ids=["spoofed", "genuine"],
)
async def test_of_several_forwarded_lines_the_last_is_the_nearest(server, lines, status):
    """RFC 9110 §5.3: lines of one name are one list. HAProxy appends its line to those that a client sent."""
    key = await server.create_key(allowed_ips=OFFICE)

    assert (await exchange(server, key, PROXY, *lines)).status_code == status


@pytest.mark.anyio
async def test_an_ipv4_proxy_is_trusted_on_a_dual_stack_socket_too(server):
    """RFC 4291 §2.5.5.2: there, 127.0.0.1 shows as ::ffff:127.0.0.1."""
    key = await server.create_key(allowed_ips=OFFICE)

    assert (await exchange(server, key, "::ffff:127.0.0.1", "192.0.2.7")).status_code == 200


@pytest.mark.anyio
async def test_a_list_of_mapped_addresses_is_a_list_of_ipv4_addresses(server):
    key = await server.create_key(allowed_ips=("::ffff:192.0.2.7", "::ffff:198.51.100.0/120"))

    assert [(await exchange(server, key, address)).status_code for address in ("192.0.2.7", "198.51.100.9")] == [
        200,
        200,
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("entry", ["192.0.2.7:443", "[2001:db8::1]", "192.0.2.7/24", "office", ""])
async def test_a_key_with_a_text_that_is_not_a_network_is_not_created(server, entry):
    with pytest.raises(InvalidRequest):
        await server.create_key(allowed_ips=(entry,))


@pytest.mark.anyio
async def test_the_operator_says_whom_to_trust(start):
    server = await start(trusted_proxies=("10.0.0.0/8",))
    key = await server.create_key(allowed_ips=OFFICE)

    statuses = [(await exchange(server, key, peer, "192.0.2.7")).status_code for peer in ("10.1.2.3", PROXY)]

    assert statuses == [200, 400]


@pytest.mark.anyio
async def test_nobody_trusted_means_nobody_believed(start):
    server = await start(trusted_proxies=())
    key = await server.create_key(allowed_ips=OFFICE)

    assert (await exchange(server, key, PROXY, "192.0.2.7")).status_code == 400


@pytest.mark.anyio
async def test_the_list_binds_refreshing_and_basic_and_says_so(server):
    key = await server.create_key(allowed_ips=OFFICE)
    token = (await exchange(server, key, "192.0.2.7")).json()["refresh_token"]

    outside = server.client("198.51.100.1")
    refreshed = await outside.post("/auth/refresh", json={"refreshToken": token})
    verified = await outside.get("/auth/verify", headers={"authorization": basic(f"{key}:")})

    assert (refreshed.status_code, refreshed.json()["reason"]) == (400, "address_not_allowed")
    assert verified.headers["www-authenticate"] == invalid("address_not_allowed")


@pytest.mark.anyio
async def test_the_list_binds_a_token_at_forward_auth(server):
    key = await server.create_key(allowed_ips=OFFICE)
    token = (await exchange(server, key, "192.0.2.7")).json()["access_token"]

    assert [await verified(server, token, address) for address in ("192.0.2.7", "198.51.100.1")] == [204, 401]


@pytest.mark.anyio
async def test_a_token_is_judged_by_the_address_that_a_trusted_proxy_tells(server):
    key = await server.create_key(allowed_ips=OFFICE)
    token = (await exchange(server, key, "192.0.2.7")).json()["access_token"]
    told = [await verified(server, token, PROXY, forwarded) for forwarded in ("192.0.2.7", "198.51.100.1")]

    assert told == [204, 401]
    assert await verified(server, token, "198.51.100.1", "192.0.2.7") == 401


@pytest.mark.anyio
async def test_a_token_whose_key_is_not_remembered_is_judged_all_the_same(server):
    """A change to any key has the server forget those that it remembered."""
    listed, free = [await server.create_key(allowed_ips=ips) for ips in (OFFICE, ())]
    tokens = [(await exchange(server, key, "192.0.2.7")).json()["access_token"] for key in (listed, free)]
    for address, statuses in (("198.51.100.1", [401, 204]), ("192.0.2.7", [204, 204])):
        for token, status in zip(tokens, statuses, strict=True):
            await server.create_key()
            await server.later(0)
            assert server.app.issuer.ledger.cached_key(key_id_of(listed)) is None

            assert at_once(server, token, address) is None
            assert await verified(server, token, address) == status
            assert at_once(server, token, address) == status


@pytest.mark.anyio
async def test_a_token_whose_key_cannot_be_looked_up_is_503_and_never_let_through(start):
    server = await start()
    token, _ = await server.tokens()
    await server.create_key()
    await server.later(0)
    await server.app.issuer.ledger.close()

    assert await verified(server, token, "198.51.100.1") == 503


@pytest.mark.anyio
async def test_the_operator_may_let_tokens_travel(start):
    server = await start(token_allow_lists=False)
    key = await server.create_key(allowed_ips=OFFICE)
    token = (await exchange(server, key, "192.0.2.7")).json()["access_token"]

    assert await verified(server, token, "198.51.100.1") == 204
    assert at_once(server, token, "198.51.100.1") == 204


@pytest.mark.anyio
async def test_a_refresh_from_outside_burns_nothing(server):
    key = await server.create_key(allowed_ips=OFFICE)
    token = (await exchange(server, key, "192.0.2.7")).json()["refresh_token"]
    await server.client("198.51.100.1").post("/auth/refresh", json={"refreshToken": token})

    inside = await server.client("192.0.2.7").post("/auth/refresh", json={"refreshToken": token})

    assert inside.status_code == 200
