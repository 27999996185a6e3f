"""`hourpass token` and `hourpass auth-header`: print a token on stdout, for scripts and for people.

Other programs call this again and again, so a token from the cache must cost no more than starting Python.
"""

import click

from hourpass.cli.client.client import Client, end, obtain
from hourpass.cli.client.options import ClientCommand, client_options, min_valid_option
from hourpass.cli.terminal import json_option, print_json


@click.command(cls=ClientCommand)
@min_valid_option
@client_options()
@json_option
def token(client: Client, min_valid: float, as_json: bool) -> None:
    """Print a token: from the agent, the cache or the server.

    Exit codes: 0 as asked for, 10 still valid but the refresh failed, 20 no valid token, 30 login required, 40 lock
    time-out, 2 usage. With 30 a token that is still valid is printed too. Instants in the JSON are epoch
    milliseconds.
    """
    source = client.source()
    answer = obtain(source, min_valid)
    credential = answer.credential
    if as_json:
        expires_at = source.expires_at(credential)
        print_json(
            {
                "access_token": credential.access_token,
                "token_type": "Bearer",
                "expires_at": expires_at,
                "issued_at": expires_at - credential.lifetime,
            }
        )
    else:
        print(credential.access_token)
    end(answer)


@click.command("auth-header", cls=ClientCommand)
@min_valid_option
@client_options()
@json_option
def auth_header(client: Client, min_valid: float, as_json: bool) -> None:
    """Print the header `Authorization: Bearer …` (RFC 6750 §2.1). Exit codes as for `hourpass token`."""
    answer = obtain(client.source(), min_valid)
    value = f"Bearer {answer.credential.access_token}"
    if as_json:
        print_json({"Authorization": value})
    else:
        print(f"Authorization: {value}")
    end(answer)
