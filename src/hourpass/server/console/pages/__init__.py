"""The pages, in the order of the menu: one module for each, with its templates beside the others."""

from hourpass.server.console.page import Section
from hourpass.server.console.pages import (
    audit,
    connect,
    grants,
    inspect,
    keys,
    overview,
    sign_ins,
    signing_keys,
    webhooks,
)

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    keys.SECTION,
    grants.SECTION,
    signing_keys.SECTION,
    audit.SECTION,
    inspect.SECTION,
    webhooks.SECTION,
    connect.SECTION,
    sign_ins.SECTION,
)
"""All of them. A person's menu has those that are for them."""
