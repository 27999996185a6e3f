"""Where the values of settings come from: flag > environment > file > default.

It has no side effects, and reads only the files that it is told to.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import note_on_readers, read_named_file, require_own_folder
from hourpass.server.settings.agreement import require_agreement
from hourpass.server.settings.settings import PREFIX, Settings, described, variable
from hourpass.service_links import is_service_link, note_on_service_links
from hourpass.settings_file import did_you_mean, read_settings_file

CLIENT_VARIABLES = frozenset(
    f"HOURPASS_{name}"
    for name in (
        "URL",
        "ALLOW_HTTP",
        "API_KEY",
        "API_KEY_FILE",
        "API_KEY_COMMAND",
        "CACHE",
        "AGENT",
        "TOKEN_FILE",
        "SERVER",
        "ADMIN_KEY_FILE",
    )
)
"""The client's variables. Client and server may run on one machine, so each one ignores the variables of the other."""

GONE = {"unix_socket": "this is now an address in the list listen, such as unix:/run/hourpass/http.sock"}
"""Settings of earlier versions, and what takes their place."""


class Origin(NamedTuple):
    """Where a setting's value came from."""

    value: object
    source: str


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    default_data: str | None,
) -> tuple[Settings, dict[str, Origin]]:
    """The settings, and where each one came from.

    `flags` has only the flags that were given. The file to read is the flag `config`, else HOURPASS_CONFIG, else
    `hourpass.toml` in the data folder if it exists. `default_data` is None if the user has no home folder.

    Raises:
        ConfigurationError: if a setting is wrong or unknown. It names the setting, its source, and the nearest known
            one. Also if the data folder or the file is not ours.
    """
    known = described()
    layers: list[tuple[dict[str, object], str]] = [({k: v for k, v in flags.items() if k != "config"}, "flag")]
    layers.append((_environment(environ, known), "environment"))
    data = next((str(layer["data"]) for layer, _ in layers if "data" in layer), default_data)
    if data is None:
        raise ConfigurationError("data: this user has no home folder; name a folder with --data or HOURPASS_DATA")
    path = flags.get("config") or environ.get(PREFIX + "CONFIG")
    file = Path(str(path)) if path else Path(data) / "hourpass.toml"
    # The folder first: what lies in it may name programs to run.
    if _is_there_and_ours(Path(data), file) or path:
        values = read_settings_file(file, (*known, *GONE))
        if "data" in values:
            raise ConfigurationError(f"{file}: data cannot be set in the file that is found through it")
        layers.append((values, str(file)))
    layers.append(({"data": data}, "default"))
    for layer, source in layers:
        for name in GONE.keys() & layer.keys():
            raise ConfigurationError(f"{name} (from {source}): {GONE[name]}")

    origins: dict[str, Origin] = {}
    for name, field in known.items():
        source, value = next(
            ((source, layer[name]) for layer, source in layers if name in layer), ("default", field.default)
        )
        if source != "default":
            try:
                value = field.metadata["parse"](value)
            except ValueError as error:
                raise ConfigurationError(f"{name} (from {source}): {error}") from None
        origins[name] = Origin(value, source)
    if all(origins[name].source != "default" for name in ("accept_api_keys", "api_key_sources")):
        raise ConfigurationError("accept_api_keys: this is the old name of api_key_sources, set only that one")
    chosen: dict[str, Any] = {name: origin.value for name, origin in origins.items()}
    settings = Settings(**chosen)
    require_agreement(settings)
    return settings, origins


def _is_there_and_ours(data: Path, file: Path) -> bool:
    """Whether there is a settings file. The data folder must be ours, if there is one."""
    try:
        if data.is_dir():
            require_own_folder(data)
        return file.is_file()
    except OSError as error:
        raise ConfigurationError(f"cannot look into {data}: {error.strerror}") from error


def is_clients(key: str) -> bool:
    """Whether an environment variable belongs to the client or its agent. Then it is not a misspelt setting of ours."""
    return key in CLIENT_VARIABLES or key.startswith("HOURPASS_AGENT_")


def _environment(environ: Mapping[str, str], known: Mapping[str, dataclasses.Field[Any]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in environ.items():
        if not key.startswith(PREFIX) or key == PREFIX + "CONFIG" or is_clients(key):
            continue
        if is_service_link(key, value):
            continue  # `notes` reports it
        name = key.removeprefix(PREFIX).lower()
        secret_file = name.removesuffix("_file")
        if name not in known and secret_file in known and known[secret_file].metadata["secret"]:
            if variable(secret_file) in environ:
                raise ConfigurationError(f"{variable(secret_file)} and {key} are both set")
            try:
                values[secret_file] = read_named_file(Path(value)).strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{key}: cannot read {value}: {error}") from None
            except ConfigurationError as error:
                raise ConfigurationError(f"{key}: {error.detail}") from None
        elif name in known or name in GONE:
            values[name] = value
        else:
            raise ConfigurationError(f"{key} is not a setting{did_you_mean(name, known)}")
    return values


def notes(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Sentences for the log at the start, about old names, ignored variables and secret files that all can read."""
    names = [f"{variable(name)}_FILE" for name, field in described().items() if field.metadata["secret"]]
    readers = [note_on_readers(Path(environ[name])) for name in names if name in environ]
    return [note for note in (_note_on_old_names(settings), note_on_service_links(environ), *readers) if note]


def _note_on_old_names(settings: Settings) -> str | None:
    if settings.accept_api_keys is None:
        return None
    instead = "basic" if settings.accept_api_keys else "an empty list"
    return f"accept_api_keys is an old name that still works: set api_key_sources to {instead}"
