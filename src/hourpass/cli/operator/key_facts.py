"""How the commands say when a key was last used."""

from collections.abc import Mapping

from hourpass.admin import shapes


def use_in_words(uses: Mapping[str, shapes.Use]) -> str | None:
    """The last use of any kind, in words."""
    if not uses:
        return None
    kind = max(uses, key=lambda each: (uses[each].at, each))
    use = uses[kind]
    return f"{use.at} {kind}" + (f" from {use.address}" if use.address else "")
