"""Finds the user's home folder. An arbitrary user of a container has none: no HOME, and no line in the passwd file."""

import os
from collections.abc import Mapping
from pathlib import Path


def home_folder(environ: Mapping[str, str]) -> Path | None:
    """The home folder, None if there is none. An empty or relative HOME is treated as none."""
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
    """The folder for files of a kind: `$XDG_<kind>_HOME`, else a folder below the home. None if there is no home.

    A relative path in the variable is ignored (XDG Base Directory Specification).
    """
    named = environ.get(f"XDG_{kind}_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    home = home_folder(environ)
    return home / below_home if home else None
