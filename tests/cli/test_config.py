"""`hourpass config`: which settings are in force, the source of each, and whether they are good."""

import base64

import pytest

from hourpass.server.settings.settings import described


def test_show_knows_every_setting(hourpass):
    assert hourpass.json("config", "show").keys() == described().keys()


def test_show_answers_the_values_in_force(hourpass):
    shown = hourpass.json(
        "config", "show", "--retry-window", "2m", "--cors-origins", "https://a.example https://b.example"
    )

    assert shown["retry_window"] == 120
    assert shown["cors_origins"] == ["https://a.example", "https://b.example"]
    assert shown["issuer"] == shown["audience"] == "http://127.0.0.1:3600"
    assert shown["data"] == str(hourpass.data)


def test_origin_tells_flag_from_environment_from_file_from_default(newcomer):
    """The first of them wins."""
    newcomer.data.mkdir(parents=True)
    file = newcomer.data / "hourpass.toml"
    file.write_text("port = 1\nrealm = 'file'\nretry_window = 1\n")
    environment = {"HOURPASS_PORT": "2", "HOURPASS_REALM": "environment"}

    shown = newcomer.json("config", "show", "--origin", "--port", "3", env=environment)

    assert shown["port"] == {"value": 3, "origin": "flag"}
    assert shown["realm"] == {"value": "environment", "origin": "environment"}
    assert shown["retry_window"] == {"value": 1, "origin": str(file)}
    assert shown["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_the_human_form_is_a_table(hourpass):
    plain, with_origin = hourpass("config", "show"), hourpass("config", "show", "--origin")

    assert plain.stdout.splitlines()[0].split() == ["setting", "value"]
    assert with_origin.stdout.splitlines()[0].split() == ["setting", "value", "origin"]


def test_secrets_are_not_shown(hourpass, tmp_path):
    secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    file = tmp_path / "master"
    file.write_text(secret)

    for environment in ({"HOURPASS_MASTER_KEY": secret}, {"HOURPASS_MASTER_KEY_FILE": str(file)}):
        for form in ((), ("--json",), ("--origin",)):
            shown = hourpass("config", "show", *form, env=environment).stdout
            assert secret not in shown
            assert "[set]" in shown


def test_check_changes_nothing(newcomer):
    result = newcomer("config", "check")

    assert result.stdout == ""
    assert result.stderr.startswith("The settings are good.")
    assert not newcomer.data.exists()


def test_check_makes_no_database(newcomer):
    newcomer.data.mkdir(mode=0o700, parents=True)

    said = newcomer("config", "check").stderr

    assert "hourpass.db will be made on the first start." in said
    assert list(newcomer.data.iterdir()) == []


def test_check_opens_what_is_there(hourpass):
    hourpass.create_key()
    hourpass("config", "check")

    (hourpass.data / "hourpass.db").write_bytes(b"not a database at all" * 100)

    assert "cannot open" in hourpass("config", "check", code=1).stderr


def test_check_notices_another_master_key(hourpass):
    hourpass.create_key()
    other = {"HOURPASS_MASTER_KEY": base64.b64encode(bytes(32)).decode()}

    assert hourpass("config", "check", code=1, env=other).stderr.startswith("hourpass: ")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HOURPASS_RETRY_WINDOWS": "5"}, "HOURPASS_RETRY_WINDOWS is not a setting; did you mean"),
        ({"HOURPASS_PROT": "1"}, "HOURPASS_PROT is not a setting; did you mean"),
        ({"HOURPASS_XYZZY": "1"}, "HOURPASS_XYZZY is not a setting\n"),
        ({"HOURPASS_PORT": "many"}, "port (from environment): must be a whole number from 0 to 65535"),
        ({"HOURPASS_PORT": ""}, "port (from environment): must be"),
        ({"HOURPASS_RETRY_WINDOW": "301"}, "retry_window (from environment): must be a duration from 0s to 300s"),
        ({"HOURPASS_ISSUER": "auth.example.com"}, "issuer (from environment): must be an http or https URL"),
        ({"HOURPASS_MASTER_KEY_FILE": "missing"}, "HOURPASS_MASTER_KEY_FILE: cannot read missing"),
        ({"HOURPASS_CONFIG": "missing.toml"}, "missing.toml cannot be read"),
        ({"HOURPASS_DATABASE_URL": "mysql://x"}, "database_url: must be sqlite:PATH or postgresql://"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_bad_variable_is_refused_by_name(hourpass, environment, words):
    result = hourpass("config", "check", code=1, env=environment)

    assert result.stdout == ""
    assert words in result.stderr


def test_an_empty_data_folder_is_refused(hourpass, tmp_path):
    assert (
        "data (from environment)" in hourpass("config", "check", code=1, env={"HOURPASS_DATA": ""}, cwd=tmp_path).stderr
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("retry_windw = 5", "retry_windw is not a setting; did you mean retry_window?"),
        ("port = 'x'", "port (from "),
        ("port = ", "is not TOML"),
        ("data = '/srv'", "data cannot be set in the file that is found through it"),
        ("access_token_lifetime = '2h'\nabsolute_lifetime = '1h'", "a grant cannot end before its first access token"),
    ],
    ids=["unknown", "out of range", "no TOML", "data", "contradiction"],
)
def test_a_bad_file_is_refused_and_the_fault_named(hourpass, tmp_path, text, words):
    file = tmp_path / "settings.toml"
    file.write_text(text)

    assert words in hourpass("config", "check", "--config", str(file), code=1).stderr


def test_check_says_that_accept_api_keys_is_an_old_name(newcomer):
    result = newcomer("config", "check", "--accept-api-keys", "false")

    assert "The settings are good." in result.stderr
    assert "set api_key_sources to an empty list" in result.stderr


def test_check_refuses_a_place_where_keys_must_not_be(newcomer):
    result = newcomer("config", "check", "--api-key-sources", "basic header:Host", code=1)

    assert "api_key_sources" in result.stderr
    assert "host means something else" in result.stderr
