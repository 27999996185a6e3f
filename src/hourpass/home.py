"""The user's home folder, which a container's arbitrary user does not have: no HOME, no line in the passwd file."""

import os
from collections.abc import Mapping
from pathlib import Path


def home_folder(environ: Mapping[str, str]) -> Path | None:
    """The home folder; None if there is none. A HOME that is empty or relative names none, either."""
    if "HOME" in environ:
        found = environ["HOME"]
    else:
        import pwd  # noqa: PLC0415 rarely needed

        try:
            found = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(found) if Path(found).is_absolute() else None


def folder_for(kind: str, below_home: str, environ: Mapping[str, str]) -> Path | None:
    """Where files of a kind belong: `$XDG_<kind>_HOME`, else a folder below the home; None if there is no home.

    A relative path in the variable is ignored (XDG Base Directory Specification).
    """
    named = environ.get(f"XDG_{kind}_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    home = home_folder(environ)
    return home / below_home if home else None
