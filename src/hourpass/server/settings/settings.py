"""Every setting of the server, described once.

The command's flags, the variables, `config show` and the documentation's table follow from it. Where the values come
from is in `loading.py`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

from hourpass.core.address import normal_network
from hourpass.core.authorization import BASIC, KeySources, read_key_source, read_key_sources
from hourpass.core.key_rotation import MAX_OVERLAP
from hourpass.core.key_shape import PREFIX as KEY_PREFIX
from hourpass.core.policy import MAX_ACCESS_TOKEN_LIFETIME, MAX_RETRY_WINDOW, SECOND, Policy
from hourpass.core.signing_key import Algorithm
from hourpass.server.settings import parsers

PREFIX = "HOURPASS_"

POSTGRESQL = ("postgresql://", "postgres://")
"""How a PostgreSQL URL begins. libpq accepts both."""


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


def described() -> dict[str, dataclasses.Field[Any]]:
    """Every setting by name, with `parse`, `help` and `secret` in its metadata."""
    return {field.name: field for field in dataclasses.fields(Settings)}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()
