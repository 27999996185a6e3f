"""GitHub's public keys: they prove that a report of leaked keys comes from GitHub's secret scanning.

The operator keeps GitHub's own document as a file. GitHub changes its keys now and then. So the file is read again if a
report names a key that is not known and the file has changed.
"""

import binascii
from base64 import b64decode
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hourpass.core.errors import ConfigurationError
from hourpass.ownership import read_named_file

DOCUMENT = "https://api.github.com/meta/public_keys/secret_scanning"
"""Where GitHub publishes them."""

_ECDSA = ec.ECDSA(hashes.SHA256())


class _PublicKey(msgspec.Struct):
    key_identifier: str
    key: str


class _Document(msgspec.Struct):
    public_keys: list[_PublicKey]


class GithubKeys:
    """The keys in a file as GitHub publishes them.

    Raises:
        ConfigurationError: if the file cannot be read, has no key, or others can write it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = self._stat()
        self._keys = _read(path)

    def verify(self, identifier: str, signature: str, body: bytes) -> bool:
        """Whether a body has this signature (ECDSA on P-256 with SHA-256, in base64) by the key of that name."""
        key = self._keys.get(identifier)
        if key is None:
            return False
        try:
            key.verify(b64decode(signature, validate=True), body, _ECDSA)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def knows(self, identifier: str) -> bool:
        """Whether there is a key of that name."""
        return identifier in self._keys

    def reread(self) -> None:
        """Read the file again if it has changed. A file that is broken meanwhile changes nothing."""
        try:
            version = self._stat()
            if version != self._version:
                self._version, self._keys = version, _read(self._path)
        except ConfigurationError:
            # it may be half written: the next report reads it again
            self._version = None

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"github_leak_keys: cannot read {self._path}: {error.strerror}") from None
        return found.st_mtime_ns, found.st_ino


def _read(path: Path) -> dict[str, ec.EllipticCurvePublicKey]:
    try:
        document = msgspec.json.decode(read_named_file(path), type=_Document)
    except OSError as error:
        raise ConfigurationError(f"github_leak_keys: cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ConfigurationError(f"github_leak_keys: {path} is not what {DOCUMENT} answers") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"github_leak_keys: {error.detail}") from None
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    for each in document.public_keys:
        try:
            key = load_pem_public_key(each.key.encode())
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            keys[each.key_identifier] = key
    if not keys:
        raise ConfigurationError(f"github_leak_keys: {path} has no public key on the curve P-256")
    return keys
