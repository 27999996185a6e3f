"""File sinks: the access token in the form that some program reads, in a file that is never torn, open or expired.

Owns the forms and the life of each file. It fetches nothing, and a refresh token never comes here.
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
"""The bare token; an environment file; JSON; a header line; a configuration file of curl; a text of one's own."""

OnExpiry = Literal["remove", "leave"]
"""What becomes of the file when its token expires and there is no other."""


def render(handout: Handout, form: Form, template: Template | None = None) -> bytes:
    """The content of a file. A token has no character that any of the forms would have to escape (RFC 6750 §2.1)."""
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
    """A text with `$access_token`, `$token_type`, `$issued_at` and `$expires_at`; `$$` is a dollar sign.

    Raises:
        ConfigurationError: naming a field that there is not, and the nearest that there is.
    """
    template = Template(text)
    if not template.is_valid():
        raise ConfigurationError("a template has a $ that begins no field: write $$ for a dollar sign")
    for name in template.get_identifiers():
        if name not in Handout._fields:
            fields = [f"${field}" for field in Handout._fields]
            raise ConfigurationError(f"a template has no field ${name}{did_you_mean(f'${name}', fields)}")
    return template


class FileSink:
    """One file: 0600, or 0640 for a `group` that may read it too. A missing folder is made, 0700 or 0750 likewise.

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
            raise ConfigurationError("a template, and format = template, go together")
        self.path = Path(path)
        self._form = form
        self._template = None if template is None else check_template(template)
        self._group = None if group is None else _gid(group)
        self._mode = 0o600 if group is None else 0o640
        self._on_expiry = on_expiry
        self._written: tuple[str, int, int, int, int] | None = None

    def write(self, handout: Handout) -> bool:
        """See to it that the file holds this token; whether it had to be written for that.

        Raises:
            ConfigurationError: the folder is writable for anyone, or something other than a file is in the way.
            OSError: the disk or the folder refuses. The old content stays.
        """
        if self._written is not None and self._written == self._found(handout):
            return False
        self._make_folder()
        # Sticky or not: a folder in which anyone may create a name is no place for a secret.
        if self.path.parent.stat().st_mode & stat.S_IWOTH:
            raise ConfigurationError(f"anyone may write to {self.path.parent}: choose a folder of your own")
        write_atomically(self.path, render(handout, self._form, self._template), mode=self._mode, group=self._group)
        self._written = self._found(handout)
        return True

    def expire(self) -> None:
        """There is no token that is still good: remove the file, unless it is to be left.

        Raises:
            OSError: the folder refuses.
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
        """What tells whether the file is still as it was left: the token, then the inode, mode, size and time."""
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
