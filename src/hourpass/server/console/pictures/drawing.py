"""What all pictures share: the element around them, and numbers in it."""

from hashlib import sha256

from markupsafe import Markup

WIDTH = 1_000
"""Units from left to right. Pictures stretch to the width that they get."""


def picture(title: str, description: str, height: int, content: Markup) -> Markup:
    """An SVG element with a title and a description. Its ids follow from both, so a page may have several."""
    name = "p" + sha256(f"{title}\n{description}\n{content}".encode()).hexdigest()[:8]
    return Markup(
        '<svg role="img" aria-labelledby="{name}t {name}d" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        '<title id="{name}t">{title}</title><desc id="{name}d">{description}</desc>{content}</svg>'
    ).format(name=name, title=title, description=description, width=WIDTH, height=height, content=content)


def coordinate(value: float) -> str:
    """A coordinate with at most one digit after the point."""
    return f"{value:.1f}".removesuffix(".0")


def place(at: float, first: float, last: float) -> float:
    """Where an instant lies between two others, as a coordinate. What lies outside is at the edge."""
    if last <= first:
        return 0.0
    return max(0.0, min(1.0, (at - first) / (last - first))) * WIDTH
