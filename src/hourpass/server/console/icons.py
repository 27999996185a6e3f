"""The console's icons: strokes on a grid of 24, in the colour of the text beside them. They never stand for a word."""

from markupsafe import Markup

_STROKES = {
    "brand": "M6 3h12M6 21h12M7.5 3v3.5c0 2.5 4.5 4 4.5 5.5s-4.5 3-4.5 5.5V21M16.5 3v3.5c0 2.5-4.5 4"
    "-4.5 5.5s4.5 3 4.5 5.5V21",
    "overview": "M4 20V11M10 20V4M16 20v-6M22 20H2M22 20v-9",
    "keys": "M8 18.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM11.2 10.8 20 2M16 6l3.5 3.5M13.5 8.5l2 2",
    "signing": "M12 2.5 4.5 5.5v6c0 4.7 3.2 8 7.5 10 4.3-2 7.5-5.3 7.5-10v-6zM8.5 12l2.5 2.5 4.5-5",
    "audit": "M5 3h10l4 4v14H5zM9 9h6M9 13h6M9 17h4",
    "inspect": "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 21 21",
    "connect": "M9 3v5M15 3v5M6.5 8h11v3a5.5 5.5 0 0 1-11 0zM12 16.5V21",
    "webhooks": "M13 2.5 5 13.5h6l-1 8 9-12h-6.5z",
    "grant": "M4 12a8 8 0 0 1 14-5.3L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.3L4 15M4 20v-5h5",
    "copy": "M9 9h11v11H9zM15 9V4H4v11h5",
    "check": "M4.5 12.5 10 18 20 6.5",
    "cross": "M6 6l12 12M18 6 6 18",
    "plus": "M12 5v14M5 12h14",
    "warning": "M12 3.5 2.5 20h19zM12 10v4.5M12 17.2v.3",
    "info": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 7.7v.3",
    "retry": "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.5M20 4v5.5h-5.5",
    "open": "M14 4H5v16h9M11 12h9M16.5 8.5 20 12l-3.5 3.5",
    "clock": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5.2l3.5 2",
    "down": "M12 4v12M6.5 11 12 16.5 17.5 11M4 20.5h16",
}

_SHAPES = {
    "good": '<circle cx="5" cy="5" r="4"/>',
    "warn": '<path d="M5 .5 9.8 9.5H.2z"/>',
    "bad": '<path d="M.8 2.2 2.2.8 5 3.6 7.8.8 9.2 2.2 6.4 5 9.2 7.8 7.8 9.2 5 6.4 2.2 9.2.8 7.8 3.6 5z"/>',
    "idle": '<circle cx="5" cy="5" r="3.2" fill="none" stroke="currentColor" stroke-width="1.6"/>',
    "accent": '<path d="M5 .2 9.8 5 5 9.8.2 5z"/>',
}
"""What a badge shows beside its word, so that its colour is not all that tells it from others."""


def icon(name: str) -> Markup:
    """An icon. Screen readers pass over it. Raises KeyError if there is none of that name."""
    return Markup(
        '<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.9"'
        ' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="{}"/></svg>'
    ).format(_STROKES[name])


def shape(tone: str) -> Markup:
    """The shape of a badge. Raises KeyError if no badge has that tone."""
    return Markup('<svg viewBox="0 0 10 10" fill="currentColor" aria-hidden="true">{}</svg>').format(
        Markup(_SHAPES[tone])  # noqa: S704 - one of the texts above
    )
