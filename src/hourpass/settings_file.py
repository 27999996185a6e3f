"""Reads a TOML file of settings, the server's or the agent's, and suggests the right name for an unknown one."""

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import read_named_file


def read_settings_file(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """The values in the file, by name. They may name programs to run, so nobody else may be able to write it.

    Raises:
        ConfigurationError: if the file cannot be read or is not ours, is not TOML, or has a name that is not `known`.
    """
    try:
        values = tomllib.loads(read_named_file(path))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    known = set(known)
    for name in values:
        if name not in known:
            raise ConfigurationError(f"{path}: {name} is not a setting{did_you_mean(name, known)}")
    return values


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name that is most similar, as the end of a sentence. Empty if none is similar."""
    near = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
