"""File sinks: write the access token in the form that a program reads.

A file is never half-written, never readable by others, and never left with an expired token unless you say so. This
module owns the forms and the life of each file. It fetches nothing, and never gets a refresh token.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Literal, assert_never

from hourpass.client.agent.handout import Handout
from hourpass.client.credential import fingerprint
from hourpass.core.errors import ConfigurationError
from hourpass.secret_file import write_atomically
from hourpass.settings_file import did_you_mean

try:
    import grp
except ImportError:
    raise ImportError("the agent needs Linux, macOS or another POSIX system; the client library does not") from None

Form = Literal["raw", "env", "json", "header", "curl", "template"]
"""The bare token, an environment file, JSON, a header line, a configuration file for curl, or your own text."""

OnExpiry = Literal["remove", "leave"]
"""What to do with the file if its token expires and there is no new one."""


def render(handout: Handout, form: Form, template: Template | None = None) -> bytes:
    """The content of a file. A token has no character that any of the forms must escape (RFC 6750 §2.1)."""
    match form:
        case "raw":
            return handout.access_token.encode()
        case "env":
            return f"ACCESS_TOKEN={handout.access_token}\n".encode()
        case "json":
            return handout.to_json()
        case "header":
            return f"Authorization: Bearer {handout.access_token}\n".encode()
        case "curl":
            return f'header = "Authorization: Bearer {handout.access_token}"\n'.encode()
        case "template":
            return (template or Template("$access_token")).substitute(handout._asdict()).encode()
        case _:
            assert_never(form)


def check_template(text: str) -> Template:
    """Parse a text with `$access_token`, `$token_type`, `$issued_at` and `$expires_at`. `$$` is a dollar sign.

    Raises:
        ConfigurationError: names an unknown field and the nearest known one, or says that a `$` begins no field.
    """
    template = Template(text)
    if not template.is_valid():
        raise ConfigurationError("the template has a $ that does not begin a field: write $$ for a dollar sign")
    for name in template.get_identifiers():
        if name not in Handout._fields:
            fields = [f"${field}" for field in Handout._fields]
            raise ConfigurationError(f"${name} is not a field of a template{did_you_mean(f'${name}', fields)}")
    return template


class FileSink:
    """One file with mode 0600, or 0640 for a `group` that may read it too. A missing folder is made with 0700 or 0750.

    Raises:
        ConfigurationError: the group does not exist, or the template is missing or wrong.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        form: Form = "raw",
        template: str | None = None,
        group: str | None = None,
        on_expiry: OnExpiry = "remove",
    ) -> None:
        if (form == "template") != (template is not None):
            raise ConfigurationError("a template needs format = template, and format = template needs a template")
        self.path = Path(path)
        self._form = form
        self._template = None if template is None else check_template(template)
        self._group = None if group is None else _gid(group)
        self._mode = 0o600 if group is None else 0o640
        self._on_expiry = on_expiry
        self._written: tuple[str, int, int, int, int] | None = None

    def write(self, handout: Handout) -> bool:
        """Make the file hold this token. Returns whether it was written.

        Raises:
            ConfigurationError: anyone may write to the folder, or something other than a file is in the way.
            OSError: the file cannot be written. The old content stays.
        """
        if self._written is not None and self._written == self._found(handout):
            return False
        self._make_folder()
        # Even if it is sticky: a secret must not be in a folder in which anyone may make a file.
        if self.path.parent.stat().st_mode & stat.S_IWOTH:
            raise ConfigurationError(f"anyone may write to {self.path.parent}: choose a folder of your own")
        write_atomically(self.path, render(handout, self._form, self._template), mode=self._mode, group=self._group)
        self._written = self._found(handout)
        return True

    def expire(self) -> None:
        """Remove the file, because its token has expired, unless `on_expiry` is "leave".

        Raises:
            OSError: the file cannot be removed.
        """
        self._written = None
        if self._on_expiry == "remove":
            with suppress(FileNotFoundError):
                if stat.S_ISREG(self.path.lstat().st_mode):
                    self.path.unlink()

    def _make_folder(self) -> None:
        folder = self.path.parent
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self._group is not None:
                os.chown(folder, -1, self._group)
                folder.chmod(0o750)

    def _found(self, handout: Handout) -> tuple[str, int, int, int, int] | None:
        """The token, inode, mode, size and time: if one differs, the file is no longer as it was written."""
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return fingerprint(handout.access_token), found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns

    def __repr__(self) -> str:
        """With the path alone."""
        return f"FileSink({str(self.path)!r})"


def _gid(group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(f"there is no group {group}") from None
