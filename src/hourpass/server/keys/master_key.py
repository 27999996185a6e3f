"""The master key, which seals the secrets in the database: they are never stored in the clear.

It comes from a setting, a systemd credential, or a file that the first start makes (mode 0600). The cipher is
AES-256-GCM with a fresh nonce for each sealing. The secret's own name is the associated data, so no sealed value can
take the place of another. While it is replaced there are several: the first one is the newest.
"""

import base64
import binascii
import os
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import read_named_file, read_own_file, require_own_folder
from hourpass.secret_file import new_file, write_atomically

MASTER_KEY_BYTES = 32
CREDENTIAL_NAME = "hourpass-master-key"
FILE_NAME = "master.key"

BACK_IT_UP = "back it up, but apart from the database: without it nobody can use the database"
"""What an operator must know when a master key was made."""


class MasterKey:
    """Seals and opens secrets. `made` is the key's file if it was made just now.

    More than one key means that the master key is being replaced. Each one opens, and the caller of `seal` says which
    one seals. If a value needs a key that is not here, `reread` is called once to get the keys as they are now.

    Raises:
        ConfigurationError: if a key is not 32 bytes long.
    """

    def __init__(
        self, *keys: bytes, made: Path | None = None, reread: Callable[[], Iterable[bytes]] | None = None
    ) -> None:
        self.made = made
        self._reread = reread
        self._ciphers = _ciphers(keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, as they were given. An id tells nothing about its key."""
        return tuple(self._ciphers)

    def seal(self, name: str, secret: bytes, by: str | None = None) -> bytes:
        """Seal a secret under its name, by the key of this id or the first one. Returns nonce and ciphertext."""
        nonce = os.urandom(12)
        return nonce + self._ciphers[by or self.ids[0]].encrypt(nonce, secret, name.encode())

    def open(self, name: str, sealed: bytes, by: str | None = None) -> bytes:
        """Open a sealed secret. `by` is the id of the key that sealed it, if that was noted.

        Raises:
            ConfigurationError: if none of these keys sealed it under this name.
        """
        return self._try(name, sealed, by)[1]

    def sealer(self, name: str, sealed: bytes, by: str | None = None) -> str:
        """The id of the key that sealed a value. Raises as `open`."""
        return self._try(name, sealed, by)[0]

    def _try(self, name: str, sealed: bytes, by: str | None) -> tuple[str, bytes]:
        if by is not None and by not in self._ciphers and self._reread is not None:
            # The keys from before stay: another value may still need them.
            self._ciphers = {**_ciphers(self._reread()), **self._ciphers}
        for key_id, cipher in self._ciphers.items():
            if by in {None, key_id}:
                try:
                    return key_id, cipher.decrypt(sealed[:12], sealed[12:], name.encode())
                except (InvalidTag, ValueError):
                    continue
        needed = "" if by is None or by in self._ciphers else f" (it needs the key {by}, and has {', '.join(self.ids)})"
        raise ConfigurationError(
            f"the master key does not open this database's {name}: it belongs to another data folder, or the key was "
            f"replaced since{needed}"
        )


def _ciphers(keys: Iterable[bytes]) -> dict[str, AESGCM]:
    ciphers = {}
    for key in keys:
        if len(key) != MASTER_KEY_BYTES:
            raise ConfigurationError(f"the master key is {len(key)} bytes long instead of {MASTER_KEY_BYTES}")
        ciphers[id_of_key(key)] = AESGCM(key)
    return ciphers


def id_of_key(key: bytes) -> str:
    """A name for a master key that tells nothing about it: 12 hex digits of a keyed hash."""
    return blake2b(b"the id of a hourpass master key", key=key[:64], digest_size=6).hexdigest()


def load_master_key(
    configured: str | None, data: Path, environ: Mapping[str, str], *, create: bool = True
) -> MasterKey:
    """The master key: as configured, else from the systemd credential, else from the file in the data folder.

    Each of them may hold several keys, separated by white space. `create` makes the file if it is missing. Set it to
    false if secrets are sealed already: a new key cannot open them.

    Raises:
        ConfigurationError: if the key cannot be read or is not 32 bytes in base64, or its file is missing or open to
            others.
    """
    if configured is not None:
        return MasterKey(*_decode(configured, "the configured master key"))
    if path := _credential(environ):
        return MasterKey(*_decode(_content(path, read_named_file), f"the systemd credential {CREDENTIAL_NAME}"))
    path = data / FILE_NAME
    if data.is_dir():
        require_own_folder(data)
    made = None
    if not os.path.lexists(path):
        if not create:
            raise ConfigurationError(
                f"{path} is missing, and this database's secrets are sealed with it: put it back, or give the key as "
                "the server gets it (with hourpass-as-server if systemd runs the server)"
            )
        made = _make_file(path)
    return MasterKey(*read_key_file(path), made=made, reread=lambda: read_key_file(path))


def key_file(configured: str | None, data: Path, environ: Mapping[str, str]) -> Path | None:
    """The file in the data folder, if the master key comes from there."""
    return None if configured is not None or _credential(environ) else data / FILE_NAME


def read_key_file(path: Path) -> list[bytes]:
    """The keys in the file of the data folder, the newest first.

    Raises:
        ConfigurationError: if it cannot be read, is open to others, or holds something else.
    """
    return _decode(_content(path, read_own_file), f"the file {path}")


def write_key_file(path: Path, keys: Iterable[bytes]) -> None:
    """Replace the file of the data folder: whole or not at all, and durably.

    Raises:
        ConfigurationError: if it cannot be written.
    """
    try:
        write_atomically(path, b"".join(base64.b64encode(key) + b"\n" for key in keys))
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _credential(environ: Mapping[str, str]) -> Path | None:
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(credentials, CREDENTIAL_NAME) if credentials else None
    return path if path and path.is_file() else None


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


def _decode(text: str, where: str) -> list[bytes]:
    try:
        return [base64.b64decode(word, validate=True) for word in text.split() or [""]]
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where} is not base64") from None
