"""The master key, which seals the secrets in the database: they are never stored in the clear.

It comes from the environment, a systemd credential, or a file that the first start makes (mode 0600). The cipher is
AES-256-GCM with a fresh nonce for each sealing. The secret's own name is the associated data, so no sealed value can
take the place of another.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hourpass.core.errors import ConfigurationError
from hourpass.secret_file import new_file
from hourpass.server.settings.ownership import read_named_file, read_own_file, require_own_folder

MASTER_KEY_BYTES = 32
CREDENTIAL_NAME = "hourpass-master-key"
FILE_NAME = "master.key"

BACK_IT_UP = "back it up, but apart from the database: without it nobody can use the database"
"""What an operator must know when a master key was made."""


class MasterKey:
    """Seals and opens secrets. `made` is the key's file if it was made just now.

    Raises:
        ConfigurationError: if the key is not 32 bytes long.
    """

    def __init__(self, key: bytes, *, made: Path | None = None) -> None:
        self.made = made
        if len(key) != MASTER_KEY_BYTES:
            raise ConfigurationError(f"the master key is {len(key)} bytes long instead of {MASTER_KEY_BYTES}")
        self._cipher = AESGCM(key)

    def seal(self, name: str, secret: bytes) -> bytes:
        """Seal a secret under its name. The result is the nonce and the ciphertext."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Open a sealed secret.

        Raises:
            ConfigurationError: if this master key did not seal it under this name.
        """
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"the master key does not open this database's {name}: it belongs to another data folder"
            ) from error


def load_master_key(
    configured: str | None, data: Path, environ: Mapping[str, str], *, create: bool = True
) -> MasterKey:
    """The master key: as configured, else from the systemd credential, else from the file in the data folder.

    `create` makes the file if it is missing. Set it to false if secrets are sealed already: a new key cannot open them.

    Raises:
        ConfigurationError: if the key cannot be read or is not 32 bytes in base64, or its file is missing or open to
            others.
    """
    if configured is not None:
        return MasterKey(_decode(configured, "the configured master key"))
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (path := Path(credentials, CREDENTIAL_NAME)).is_file():
        return MasterKey(_decode(_content(path, read_named_file), f"the systemd credential {CREDENTIAL_NAME}"))
    path = data / FILE_NAME
    if data.is_dir():
        require_own_folder(data)
    made = None
    if not os.path.lexists(path):
        if not create:
            raise ConfigurationError(f"{path} is missing, and this database's secrets are sealed with it")
        made = _make_file(path)
    return MasterKey(_decode(_content(path, read_own_file), f"the file {path}"), made=made)


def _make_file(path: Path) -> Path | None:
    """Make the file, complete and only once: if two first starts run at once, the later one reads the earlier one's.

    Returns the path, or None if another process made the file.
    """
    try:
        with new_file(path) as draft:
            draft.write_bytes(base64.b64encode(os.urandom(MASTER_KEY_BYTES)) + b"\n")
    except FileExistsError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot make {path}: {error.strerror}") from error
    return path


def _content(path: Path, read: Callable[[Path], str]) -> str:
    try:
        return read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def _decode(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where} is not base64") from None
