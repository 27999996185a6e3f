"""The pages, in the order of the menu: one module for each, with its templates beside the others."""

from hourpass.server.console.page import Section
from hourpass.server.console.pages import connect, grants, keys, overview, sign_ins

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    keys.SECTION,
    grants.SECTION,
    connect.SECTION,
    sign_ins.SECTION,
)
"""All of them. Somebody else's menu shows those that are for them."""
