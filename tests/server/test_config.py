"""Settings: flag > environment > file > default (settings.md, "Settings")."""

import pytest

from hourpass.core.authorization import KeySources
from hourpass.core.errors import ConfigurationError
from hourpass.server.settings.agreement import require_issuer
from hourpass.server.settings.loading import load, notes
from hourpass.server.settings.settings import Settings, described, variable

DATA = "/var/lib/hourpass"


def settings(flags=None, environ=None):
    return load(flags or {}, environ or {}, DATA)[0]


def origins(flags=None, environ=None):
    return {name: origin.source for name, origin in load(flags or {}, environ or {}, DATA)[1].items()}


def refusal(flags=None, environ=None):
    with pytest.raises(ConfigurationError) as caught:
        load(flags or {}, environ or {}, DATA)
    return caught.value.detail


@pytest.fixture
def file(tmp_path):
    """A configuration file in a data folder: `file("port = 1")` gives the flags that lead to it."""

    def write(text):
        (tmp_path / "hourpass.toml").write_text(text)
        return {"data": str(tmp_path)}

    return write


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", DATA),
        ("database_url", None),
        ("host", "127.0.0.1"),
        ("port", 3600),
        ("listen", ()),
        ("socket_mode", "0660"),
        ("admin_socket_mode", "0600"),
        ("admin_listen", "127.0.0.1:3601"),
        ("workers", 1),
        ("access_token_lifetime", 3600),
        ("retry_window", 60),
        ("exchange_limit", 600),
        ("grants_per_key", 10_000),
        ("idle_lifetime", 30 * 86400),
        ("absolute_lifetime", 90 * 86400),
        ("api_key_sources", ("basic",)),
        ("accept_api_keys", None),
        ("signing_algorithm", "ES256"),
        ("body_limit", 8 * 1024),
        ("header_limit", 16 * 1024),
        ("request_timeout", 10),
        ("cors_origins", ()),
    ],
)
def test_the_defaults_are_those_of_the_pages(name, value):
    """settings.md, "Settings", and contract.md, "Limits"."""
    assert getattr(settings(), name) == value


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ({}, "http://127.0.0.1:3600"),
        ({"host": "::1", "port": "1"}, "http://[::1]:1"),
        ({"path_prefix": "/login"}, "http://127.0.0.1:3600/login"),
        ({"issuer": "https://auth.test/"}, "https://auth.test"),
    ],
)
def test_the_issuer_is_the_listening_address_unless_it_is_set(given, issuer):
    assert settings(given).public_url() == issuer


@pytest.mark.parametrize(
    ("listen", "issuer"),
    [
        (["127.0.0.1:3600"], "http://127.0.0.1:3600"),
        (["unix:/run/http.sock", "[::1]:80"], "http://[::1]:80"),
        (["127.0.0.1:1", "127.0.0.1:2"], "http://127.0.0.1:1"),
    ],
)
def test_the_first_address_that_is_not_a_unix_socket_makes_the_issuer(listen, issuer):
    assert settings({"listen": listen, "host": "0.0.0.0"}).public_url() == issuer


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("unix:/run/http.sock", "no client can reach a unix socket"),
        ("unix:/run/http.sock 0.0.0.0:80", "0.0.0.0 is every address"),
        ("[::]:80", ":: is every address"),
    ],
)
def test_without_an_address_for_clients_the_issuer_must_be_set(listen, words):
    require_issuer(settings({"listen": listen, "issuer": "https://auth.test"}))
    with pytest.raises(ConfigurationError) as caught:
        require_issuer(settings({"listen": listen}))

    assert words in caught.value.detail
    assert "set --issuer" in caught.value.detail


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("3600", "must be HOST:PORT, [::1]:PORT or unix:/PATH"),
        ("::1:3600", "must be HOST:PORT, [::1]:PORT or unix:/PATH"),
        ("127.0.0.1:65536", "its port must be from 0 to 65535"),
        ("unix:", "begins with a slash"),
        ("unix:http.sock", "begins with a slash"),
        ("unix:/run/", "begins with a slash"),
        ("unix:@hourpass", "an abstract socket has no owner and no mode"),
        (f"unix:/{'a' * 103}", "at most 103 bytes, and this one 104"),
        (f"unix:/{'ä' * 52}", "at most 103 bytes, and this one 105"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_refused_in_words(address, words):
    assert words in refusal({"listen": address})
    assert f"{words}, or off" in refusal({"admin_listen": address}) or words in refusal({"admin_listen": address})


def test_the_longest_path_of_a_unix_socket_is_accepted():
    assert settings({"listen": f"unix:/{'a' * 102}"}).listen == (f"unix:/{'a' * 102}",)


@pytest.mark.parametrize(("given", "mode"), [("0660", "0660"), ("600", "0600"), ("0666", "0666")])
def test_a_sockets_mode_is_octal(given, mode):
    assert settings({"socket_mode": given}).socket_mode == mode


@pytest.mark.parametrize("given", ["660 ", "0o660", "888", "66", "1777", 432])
def test_a_mode_that_is_not_octal_digits_is_refused(given):
    assert "octal digits" in refusal({"socket_mode": given}) or "printable" in refusal({"socket_mode": given})


def test_the_old_name_of_an_address_is_refused_with_the_new_one(file):
    for words in (refusal(environ={"HOURPASS_UNIX_SOCKET": "/s"}), refusal(file("unix_socket = '/s'"))):
        assert words.endswith("this is now an address in the list listen, such as unix:/run/hourpass/http.sock")


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(file):
    flags = file("port = 3\nhost = '3.3.3.3'\nrealm = 'file'")
    environ = {"HOURPASS_PORT": "2", "HOURPASS_HOST": "2.2.2.2"}

    loaded, source = load({**flags, "port": "1"}, environ, DATA)

    assert (loaded.port, loaded.host, loaded.realm, loaded.workers) == (1, "2.2.2.2", "file", 1)
    told = [source[name].source for name in ("port", "host", "realm", "workers")]
    assert told == ["flag", "environment", f"{flags['data']}/hourpass.toml", "default"]


@pytest.mark.parametrize("where", ["flag", "environment"])
def test_another_file_may_be_named(tmp_path, where):
    path = tmp_path / "other.toml"
    path.write_text("port = 9")
    named = {"flags": {"config": str(path)}} if where == "flag" else {"environ": {"HOURPASS_CONFIG": str(path)}}

    assert settings(**named).port == 9


def test_a_named_file_must_exist():
    assert "/nowhere.toml" in refusal({"config": "/nowhere.toml"})


@pytest.mark.parametrize("name", sorted(described()))
def test_every_setting_has_a_variable_and_is_described(name):
    """CONTRIBUTING.md, "How do I add …": a half-line of help."""
    assert variable(name) == f"HOURPASS_{name.upper()}"
    assert len(described()[name].metadata["help"]) > 10
    assert "\n" not in described()[name].metadata["help"]


@pytest.mark.parametrize("name", sorted(name for name, field in described().items() if field.metadata["secret"]))
def test_every_secret_has_a_file_variant_and_is_not_in_the_repr(tmp_path, name):
    """settings.md, "Settings"."""
    secret = "sqlite:/a.db" if name == "database_url" else "c2VjcmV0"
    (tmp_path / "secret").write_text(f"{secret}\n")

    loaded = settings(environ={f"HOURPASS_{name.upper()}_FILE": str(tmp_path / "secret")})

    assert getattr(loaded, name) == secret
    assert secret not in repr(loaded)


def test_the_master_key_and_the_database_url_are_the_secrets():
    assert {name for name, field in described().items() if field.metadata["secret"]} == {"master_key", "database_url"}


def test_a_secrets_file_must_exist():
    assert "HOURPASS_MASTER_KEY_FILE" in refusal(environ={"HOURPASS_MASTER_KEY_FILE": "/nowhere"})


def test_a_secret_set_both_ways_is_an_error(tmp_path):
    (tmp_path / "secret").write_text("YQ==")

    environ = {"HOURPASS_MASTER_KEY": "Yg==", "HOURPASS_MASTER_KEY_FILE": str(tmp_path / "secret")}

    assert "HOURPASS_MASTER_KEY_FILE" in refusal(environ=environ)


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("prot", "port"), ("retry_windw", "retry_window"), ("cors_origin", "cors_origins"), ("issuer_url", "issuer")],
)
def test_an_unknown_key_names_the_nearest_known_one(file, unknown, nearest):
    for words in (refusal(environ={f"HOURPASS_{unknown.upper()}": "1"}), refusal(file(f"{unknown} = 1"))):
        assert f"did you mean {nearest}?" in words


def test_an_unknown_key_that_is_near_nothing_is_an_error_all_the_same(file):
    assert refusal(file("zzzzzz = 1")).endswith("zzzzzz is not a setting")


def test_a_plain_setting_has_no_file_variant():
    assert "HOURPASS_PORT_FILE is not a setting" in refusal(environ={"HOURPASS_PORT_FILE": "/x"})


def test_variables_of_others_are_ignored():
    assert settings(environ={"PORT": "1", "HOURPASSPORT": "1", "hourpass_port": "1"}).port == 3600


@pytest.mark.parametrize("text", ["port = ", "[server]\nport = 1", "data = '/elsewhere'", "\xff"])
def test_a_file_that_cannot_be_used_is_named(file, tmp_path, text):
    flags = file("")
    (tmp_path / "hourpass.toml").write_bytes(text.encode("latin-1"))

    assert str(tmp_path / "hourpass.toml") in refusal(flags)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("1d", 86_400), (90, 90)]
)
def test_a_duration_is_seconds_or_has_a_unit(text, seconds):
    assert settings({"access_token_lifetime": text}).access_token_lifetime == seconds


@pytest.mark.parametrize("value", [0, 300])
def test_the_retry_window_reaches_from_0_to_300_seconds(value):
    assert settings({"retry_window": str(value)}).policy().retry_window == value * 1000


WRONG = [
    ("retry_window", "301"),
    ("retry_window", "-1"),
    ("port", "65536"),
    ("port", "1e3"),
    ("port", ""),
    ("port", True),
    ("workers", "0"),
    ("workers", "2"),
    ("access_token_lifetime", "0"),
    ("access_token_lifetime", "1 h"),
    ("access_token_lifetime", "1w"),
    ("issuer", "auth.test"),
    ("issuer", "https://auth.test/?a"),
    ("issuer", "ftp://auth.test"),
    ("audience", "two words"),
    ("realm", 'quo"ted'),
    ("path_prefix", "login"),
    ("path_prefix", "/a//b"),
    ("accept_api_keys", "maybe"),
    ("api_key_sources", "query:key"),
    ("api_key_sources", "cookie"),
    ("api_key_sources", "header:Host"),
    ("api_key_sources", ["header:X Key"]),
    ("signing_algorithm", "none"),
    ("signing_algorithm", "HS256"),
    ("trusted_proxies", "10.0.0.0/33"),
    ("trusted_proxies", "10.0.0.1/8"),
    ("admin_listen", "3601"),
    ("database_url", "mysql://x"),
    ("database_url", "postgres:x"),
    ("wait_for_database", "-1"),
    ("absolute_lifetime", "60"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_the_settings_name(name, value):
    assert name in refusal({name: value})


def test_a_refusal_names_the_source_of_the_value():
    assert "(from environment)" in refusal(environ={"HOURPASS_PORT": "x"})


def test_a_wrong_secret_is_not_repeated(file):
    assert "hunter2" not in refusal(file("master_key = 7\nport = 'hunter2'"))


@pytest.mark.parametrize(
    "text", ["http://a http://b", "http://a,http://b", "http://a, http://b", ["http://a", "http://b"]]
)
def test_a_list_is_separated_by_spaces_or_commas(text):
    assert settings({"cors_origins": text}).cors_origins == ("http://a", "http://b")


@pytest.mark.parametrize(
    "given",
    ["tenant=X-Tenant seats=X-Seats", "tenant=X-Tenant,seats=X-Seats", {"tenant": "X-Tenant", "seats": "X-Seats"}],
)
def test_claims_in_headers_are_words_or_a_table(given):
    assert settings({"claim_headers": given}).claim_headers == ("tenant=x-tenant", "seats=x-seats")


def test_a_claim_may_have_a_header_of_the_family_that_proxies_protect():
    given = "tenant=Hourpass-Claim-Tenant"

    assert settings({"claim_headers": given}).claim_headers == ("tenant=hourpass-claim-tenant",)


@pytest.mark.parametrize(
    "given",
    [
        "tenant",
        "=X-Tenant",
        "tenant=",
        "tenant=X Tenant",
        "a=X-A b=x-a",
        "sub=X-User",
        "a=Host",
        "a=Hourpass-Subject",
        "a=Hourpass-Claim-",
        "a=Cookie",
    ],
)
def test_a_claim_in_a_header_that_cannot_be_is_refused(given):
    assert refusal({"claim_headers": given}).startswith("claim_headers")


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        Settings().port = 1


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ({}, KeySources(basic=True)),
        ({"api_key_sources": ""}, KeySources()),
        ({"api_key_sources": "bearer, header:X-API-Key"}, KeySources(bearer=True, headers=(b"x-api-key",))),
        ({"accept_api_keys": "true"}, KeySources(basic=True)),
        ({"accept_api_keys": "false"}, KeySources()),
    ],
)
def test_keys_are_accepted_where_the_settings_say(given, sources):
    """contract.md, "Where a raw key may be"."""
    assert settings(given).key_sources() == sources


def test_the_old_name_and_the_new_one_together_are_refused():
    assert "accept_api_keys" in refusal({"accept_api_keys": "true", "api_key_sources": "basic"})


@pytest.mark.parametrize(("value", "instead"), [("true", "basic"), ("false", "an empty list")])
def test_the_old_name_is_worth_a_note(value, instead):
    [note] = notes(settings({"accept_api_keys": value}), {})

    assert note == f"accept_api_keys is an old name that still works: set api_key_sources to {instead}"
    assert notes(settings({}), {}) == []


def test_a_data_folder_that_cannot_be_looked_into_is_named():
    """As in a container whose user may not enter the volume. This one cannot be looked into by root either."""
    name = "x" * 300

    with pytest.raises(ConfigurationError) as refused:
        load({"data": f"/{name}"}, {}, None)

    assert refused.value.detail == f"cannot look into /{name}: File name too long"
