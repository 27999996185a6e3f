"""Settings: flag > environment > file > default. It has no side effects, and reads only the files that it is told to.

Each setting is described once, here. The command's flags, `config show` and the documentation's table follow from it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from socket import inet_aton
from typing import Any, Literal, NamedTuple, get_args

from hourpass.core.address import normal_network
from hourpass.core.authorization import BASIC, KeySources, read_key_source, read_key_sources
from hourpass.core.errors import ConfigurationError
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.key_shape import PREFIX as KEY_PREFIX
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, MAX_RETRY_WINDOW, SECOND, Policy
from hourpass.core.signing_key import Algorithm
from hourpass.ownership import note_on_readers, read_named_file, require_own_folder
from hourpass.server.settings import parsers
from hourpass.service_links import is_service_link, note_on_service_links
from hourpass.settings_file import did_you_mean, read_settings_file

PREFIX = "HOURPASS_"

POSTGRESQL = ("postgresql://", "postgres://")
"""How a PostgreSQL URL begins. libpq accepts both."""

CLIENT_VARIABLES = frozenset(
    f"HOURPASS_{name}"
    for name in (
        "URL",
        "ALLOW_HTTP",
        "API_KEY",
        "API_KEY_FILE",
        "API_KEY_COMMAND",
        "CACHE",
        "AGENT",
        "TOKEN_FILE",
        "SERVER",
        "ADMIN_KEY_FILE",
    )
)
"""The client's variables. Client and server may run on one machine, so each one ignores the variables of the other."""


GONE = {"unix_socket": "this is now an address in the list listen, such as unix:/run/hourpass/http.sock"}
"""Settings of earlier versions, and what takes their place."""


def _setting(default: Any, parse: Callable[[object], Any], help: str, *, secret: bool = False) -> Any:  # noqa: A002
    metadata = {"parse": parse, "help": help, "secret": secret}
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of the server. Durations are in whole seconds, sizes in bytes."""

    data: str = _setting("", parsers.text, "folder of the SQLite file and the secrets; made on the first start")
    database_url: str | None = _setting(
        None,
        parsers.text,
        "sqlite:PATH or postgresql://USER@HOST/NAME; the SQLite file in the data folder by default",
        secret=True,
    )
    wait_for_database: int = _setting(
        30, parsers.seconds(0, 3600), "at the start, a PostgreSQL that is not up yet is waited for this long"
    )
    host: str = _setting(
        "127.0.0.1", parsers.text, "address to listen on; loopback, because a proxy with TLS belongs in front"
    )
    port: int = _setting(3600, parsers.whole(0, 65535), "port to listen on; 0 takes a free one")
    listen: tuple[str, ...] = _setting(
        (),
        parsers.words(parsers.listen_address),
        "addresses to listen on in place of host and port: HOST:PORT, [::1]:PORT, unix:/PATH",
    )
    admin_listen: str = _setting(
        "127.0.0.1:3601",
        parsers.admin_address,
        "HOST:PORT or unix:/PATH for health, metrics, admin API and console, apart from clients; off for none",
    )
    console: bool = _setting(True, parsers.yes_no, "pages for operators at /console of the admin listener")
    admin_hosts: tuple[str, ...] = _setting(
        (),
        parsers.words(parsers.host_name),
        "names by which browsers reach the console, besides loopback and admin_listen, such as admin.example.com",
    )
    socket_mode: str = _setting(
        "0660", parsers.socket_mode, "mode of the files of unix sockets: who may write to one may connect"
    )
    admin_socket_mode: str = _setting("0600", parsers.socket_mode, "the same for admin_listen, if it is a unix socket")
    workers: int = _setting(
        1,
        parsers.whole(1, 256),
        "worker processes on one port; more than one on PostgreSQL only, SQLite has one writer",
    )
    issuer: str | None = _setting(
        None,
        parsers.url,
        "this server's public URL, the tokens' iss; http://HOST:PORT by default, never taken from a request",
    )
    audience: str | None = _setting(None, parsers.text, "the tokens' aud; the issuer by default")
    realm: str = _setting("hourpass", parsers.text, "realm in the challenges")
    path_prefix: str = _setting("", parsers.path_prefix, "path under which every route lives; the root by default")
    access_token_lifetime: int = _setting(
        3600,
        parsers.seconds(1, MAX_ACCESS_TOKEN_LIFETIME // SECOND),
        "lifetime of an access token: what a leaked one is worth",
    )
    retry_window: int = _setting(
        60,
        parsers.seconds(0, MAX_RETRY_WINDOW // SECOND),
        "how long a superseded refresh token still gets its successor; 0 is strict single use",
    )
    idle_lifetime: int = _setting(
        30 * 86400, parsers.seconds(60, 366 * 86400), "a grant that nobody refreshes ends after this"
    )
    absolute_lifetime: int = _setting(90 * 86400, parsers.seconds(60, 3660 * 86400), "every grant ends after this")
    grants_per_key: int = _setting(
        10_000, parsers.whole(1, 10_000_000), "live grants of one API key; beyond it the least used ones are closed"
    )
    exchange_limit: int = _setting(
        600, parsers.whole(0, 1_000_000), "exchanges per minute and key, even all at once; 0 turns every limit off"
    )
    admin_limit: int = _setting(
        600,
        parsers.whole(0, 1_000_000),
        "calls of the admin API per minute and admin key, even all at once; 0 for no limit",
    )
    audit_retention: int | Literal["off"] = _setting(
        400 * 86400,
        parsers.off_or(parsers.seconds(7 * 86400, 36500 * 86400)),
        "how long the audit trail keeps its lines; off keeps them for ever",
    )
    rotation_overlap: int = _setting(
        86400,
        parsers.seconds(0, MAX_OVERLAP // SECOND),
        "how long an old key goes on after its holder rotated it and used the new one",
    )
    key_prefix: str = _setting(
        KEY_PREFIX, parsers.key_prefix, "how new API keys begin; keys with an earlier prefix stay valid"
    )
    api_key_sources: tuple[str, ...] = _setting(
        ("basic",),
        parsers.words(read_key_source),
        "where protected endpoints accept the API key itself: basic, bearer, header:NAME; empty means tokens only",
    )
    accept_api_keys: bool | None = _setting(
        None, parsers.yes_no, "the old way to say it: true is api_key_sources = basic, false is none"
    )
    claim_headers: tuple[str, ...] = _setting(
        (),
        parsers.claims_and_headers,
        "claims of keys that forward auth puts into headers, such as tenant=Hourpass-Claim-Tenant",
    )
    github_leaks: Literal["off", "notify", "revoke"] = _setting(
        "off",
        parsers.one_of("off", "notify", "revoke"),
        "what a report of GitHub's secret scanning does: tell of a leaked key, or also revoke it",
    )
    github_leak_keys: str | None = _setting(
        None, parsers.text, "file with GitHub's public keys for such reports, as GitHub publishes them"
    )
    webhook_allow_private: bool = _setting(
        False,
        parsers.yes_no,
        "whether webhooks may lead to private addresses, and be plain http: for receivers in your own network",
    )
    token_allow_lists: bool = _setting(
        True,
        parsers.yes_no,
        "whether forward auth also judges a token's address, by the allow-list of its key",
    )
    signing_algorithm: str = _setting(
        "ES256",
        parsers.one_of(*get_args(Algorithm)),
        "most gateways know ES256; RS256 signs ten times slower",
    )
    cors_origins: tuple[str, ...] = _setting(
        (), parsers.words(parsers.cors_origin), "origins whose pages may call the endpoints from a browser"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        ("127.0.0.1/32", "::1/128"), parsers.words(normal_network), "networks whose X-Forwarded-For is believed"
    )
    body_limit: int = _setting(
        8_192,
        parsers.whole(1_024, 1_048_576),
        "largest request body, twice as much for a form; ours are under 2 KiB",
    )
    header_limit: int = _setting(
        16_384, parsers.whole(8_192, 1_048_576), "largest header block; a token is at most 8 KiB"
    )
    max_connections: int = _setting(
        10_000,
        parsers.whole(1, 1_000_000),
        "connections at a time, if the process may open so many; more get 503 if none can be closed for them",
    )
    request_timeout: int = _setting(10, parsers.seconds(1, 600), "a whole request must arrive within this")
    drain_timeout: int = _setting(20, parsers.seconds(1, 600), "on TERM, requests in flight get this long to finish")
    revocation_staleness: int = _setting(
        10, parsers.seconds(1, 3600), "verifying and issuing stop (503) if changes were not looked up for this long"
    )
    durability: Literal["full", "normal"] = _setting(
        "full", parsers.one_of("full", "normal"), "normal may lose the last commits in a power cut; full never does"
    )
    master_key: str | None = _setting(
        None,
        parsers.words_of_text,
        "base64 of 32 bytes that seal the secrets; master.key in the data folder by default",
        secret=True,
    )
    master_key_command: tuple[str, ...] = _setting(
        (), parsers.command, "a program that prints the master key, such as a client of a KMS; run without a shell"
    )
    log_format: str = _setting(
        "auto", parsers.one_of("auto", "console", "json"), "auto is console on a terminal, else json"
    )

    tracing: Literal["off", "otlp"] = _setting(
        "off", parsers.one_of("off", "otlp"), "otlp sends traces to a collector, which the OTEL_… variables name"
    )

    @property
    def shares_database(self) -> bool:
        """Whether the database is a server, which other nodes can use, too."""
        return self.database_url is not None and self.database_url.startswith(POSTGRESQL)

    def policy(self) -> Policy:
        """The policy for the rules in `core`, with durations in milliseconds."""
        return Policy(
            access_token_lifetime=self.access_token_lifetime * SECOND,
            retry_window=self.retry_window * SECOND,
            idle_lifetime=self.idle_lifetime * SECOND,
            absolute_lifetime=self.absolute_lifetime * SECOND,
            grants_per_key=self.grants_per_key,
        )

    def key_sources(self) -> KeySources:
        """The places in which a protected endpoint accepts an API key itself."""
        if self.accept_api_keys is None:
            return read_key_sources(self.api_key_sources)
        return BASIC if self.accept_api_keys else KeySources()

    def addresses(self) -> tuple[str, ...]:
        """Where clients find the server: `listen`, or else `host` and `port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.listen or (f"{host}:{self.port}",)

    def web_address(self) -> str:
        """The first address that is not a unix socket, as HOST:PORT. Empty if there is none."""
        return next((address for address in self.addresses() if not address.startswith(parsers.UNIX)), "")

    def public_url(self) -> str:
        """The issuer: as set, or made from the web address."""
        return self.issuer or f"http://{self.web_address()}{self.path_prefix}"


def require_issuer(settings: Settings) -> None:
    """Refuse to guess the public URL of a server that listens on every address, or only on unix sockets.

    Raises:
        ConfigurationError: if the issuer is not set, and the server has no address that a client can use.
    """
    host = settings.web_address().rpartition(":")[0].strip("[]")
    if settings.issuer:
        return
    if not host:
        why = "no client can reach a unix socket"
    elif _is_every_address(host):
        why = f"{host} is every address of this machine, and none that a client can use"
    else:
        return
    raise ConfigurationError(
        f"issuer: {why}; set --issuer to the URL that clients see, such as https://auth.example.com"
    )


def _is_every_address(host: str) -> bool:
    try:
        # Read like a socket reads it: 0 and 0x0 are 0.0.0.0, too.
        address = ip_address(host if ":" in host else inet_aton(host))
    except (OSError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_unspecified


def notes(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Sentences for the log at the start, about old names, ignored variables and secret files that all can read."""
    names = [f"{variable(name)}_FILE" for name, field in described().items() if field.metadata["secret"]]
    readers = [note_on_readers(Path(environ[name])) for name in names if name in environ]
    return [note for note in (_note_on_old_names(settings), note_on_service_links(environ), *readers) if note]


def _note_on_old_names(settings: Settings) -> str | None:
    if settings.accept_api_keys is None:
        return None
    instead = "basic" if settings.accept_api_keys else "an empty list"
    return f"accept_api_keys is an old name that still works: set api_key_sources to {instead}"


class Origin(NamedTuple):
    """Where a setting's value came from."""

    value: object
    source: str


def described() -> dict[str, dataclasses.Field[Any]]:
    """Every setting by name, with `parse`, `help` and `secret` in its metadata."""
    return {field.name: field for field in dataclasses.fields(Settings)}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    default_data: str | None,
) -> tuple[Settings, dict[str, Origin]]:
    """The settings, and where each one came from.

    `flags` has only the flags that were given. The file to read is the flag `config`, else HOURPASS_CONFIG, else
    `hourpass.toml` in the data folder if it exists. `default_data` is None if the user has no home folder.

    Raises:
        ConfigurationError: if a setting is wrong or unknown. It names the setting, its source, and the nearest known
            one. Also if the data folder or the file is not ours.
    """
    known = described()
    layers: list[tuple[dict[str, object], str]] = [({k: v for k, v in flags.items() if k != "config"}, "flag")]
    layers.append((_environment(environ, known), "environment"))
    data = next((str(layer["data"]) for layer, _ in layers if "data" in layer), default_data)
    if data is None:
        raise ConfigurationError("data: this user has no home folder; name a folder with --data or HOURPASS_DATA")
    path = flags.get("config") or environ.get(PREFIX + "CONFIG")
    file = Path(str(path)) if path else Path(data) / "hourpass.toml"
    # The folder first: what lies in it may name programs to run.
    if _is_there_and_ours(Path(data), file) or path:
        values = read_settings_file(file, (*known, *GONE))
        if "data" in values:
            raise ConfigurationError(f"{file}: data cannot be set in the file that is found through it")
        layers.append((values, str(file)))
    layers.append(({"data": data}, "default"))
    for layer, source in layers:
        for name in GONE.keys() & layer.keys():
            raise ConfigurationError(f"{name} (from {source}): {GONE[name]}")

    origins: dict[str, Origin] = {}
    for name, field in known.items():
        source, value = next(
            ((source, layer[name]) for layer, source in layers if name in layer), ("default", field.default)
        )
        if source != "default":
            try:
                value = field.metadata["parse"](value)
            except ValueError as error:
                raise ConfigurationError(f"{name} (from {source}): {error}") from None
        origins[name] = Origin(value, source)
    if all(origins[name].source != "default" for name in ("accept_api_keys", "api_key_sources")):
        raise ConfigurationError("accept_api_keys: this is the old name of api_key_sources, set only that one")
    chosen: dict[str, Any] = {name: origin.value for name, origin in origins.items()}
    settings = Settings(**chosen)
    _check(settings)
    return settings, origins


def _is_there_and_ours(data: Path, file: Path) -> bool:
    """Whether there is a settings file. The data folder must be ours, if there is one."""
    try:
        if data.is_dir():
            require_own_folder(data)
        return file.is_file()
    except OSError as error:
        raise ConfigurationError(f"cannot look into {data}: {error.strerror}") from error


def is_clients(key: str) -> bool:
    """Whether an environment variable belongs to the client or its agent. Then it is not a misspelt setting of ours."""
    return key in CLIENT_VARIABLES or key.startswith("HOURPASS_AGENT_")


def _environment(environ: Mapping[str, str], known: Mapping[str, dataclasses.Field[Any]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key == PREFIX + "CONFIG" or is_clients(key):
            continue
        if is_service_link(key, value):
            continue  # `notes` reports it
        name = key.removeprefix(PREFIX).lower()
        secret_file = name.removesuffix("_file")
        if name not in known and secret_file in known and known[secret_file].metadata["secret"]:
            if variable(secret_file) in environ:
                raise ConfigurationError(f"{variable(secret_file)} and {key} are both set")
            try:
                values[secret_file] = read_named_file(Path(value)).strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{key}: cannot read {value}: {error}") from None
            except ConfigurationError as error:
                raise ConfigurationError(f"{key}: {error.detail}") from None
        elif name in known or name in GONE:
            values[name] = value
        else:
            raise ConfigurationError(f"{key} is not a setting{did_you_mean(name, known)}")
    return values


def _check(settings: Settings) -> None:
    if settings.database_url and not settings.database_url.startswith(("sqlite:", *POSTGRESQL)):
        raise ConfigurationError("database_url: must be sqlite:PATH or postgresql://USER@HOST/NAME")
    if settings.workers > 1 and not settings.shares_database:
        raise ConfigurationError("workers: more than one needs a PostgreSQL database: SQLite has only one writer")
    if settings.github_leaks != "off" and not settings.github_leak_keys:
        raise ConfigurationError("github_leak_keys: name the file with GitHub's public keys, as github_leaks is on")
    if settings.master_key is not None and settings.master_key_command:
        raise ConfigurationError("master_key_command: master_key is set, too; set only one of them")
    if settings.absolute_lifetime < settings.access_token_lifetime:
        raise ConfigurationError("absolute_lifetime: a grant cannot end before its first access token does")
    if not all("\x21" <= letter <= "\x7e" for letter in settings.audience or ""):
        raise ConfigurationError("audience: must be visible ASCII characters")
    if not all("\x20" <= letter <= "\x7e" and letter not in '"\\' for letter in settings.realm):
        raise ConfigurationError("realm: must be ASCII without quotes and backslashes")
