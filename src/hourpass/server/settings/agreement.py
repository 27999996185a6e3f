"""What settings must be together, and what the server cannot guess."""

from ipaddress import ip_address
from socket import inet_aton

from hourpass.core.errors import ConfigurationError
from hourpass.server.settings.settings import POSTGRESQL, Settings


def require_agreement(settings: Settings) -> None:
    """Refuse settings that do not go together, or whose value only another one explains.

    Raises:
        ConfigurationError: with the name of the setting to change.
    """
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
