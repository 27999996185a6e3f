"""Runs in a Python of its own, with niquests on its path, which replaces urllib3 for the whole environment.

`niquests_client.py URL API_KEY` reads the demo's videos with the adapter for requests, has its token revoked behind its
back, reads on, and prints what it saw as JSON.
"""

import json
import sys

import niquests

from hourpass.client import TokenSource
from hourpass.client.auth.requests import HourpassAuth


def main(url, api_key):
    with TokenSource(url, api_key) as source, niquests.Session() as session:
        session.auth = HourpassAuth(source)
        statuses = [session.get(f"{url}/videos").status_code]
        first = source.credential()
        niquests.post(f"{url}/oauth/revoke", data={"token": first.access_token}).raise_for_status()
        statuses.append(session.get(f"{url}/videos").status_code)
        posted = session.post(f"{url}/videos", json={"title": "x"}).status_code
        numbers = [first.number, source.credential().number]
        print(json.dumps({"statuses": statuses, "posted": posted, "numbers": numbers, "counts": dict(source.counts)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
