"""How often a scheduled refresh must run, and the crontab lines and systemd units that run it.

Pure: instants and lifetimes are arguments, and nothing is read, written or run.
"""

import re
import shlex
from collections.abc import Sequence

from hourpass.client.credential import new_credential
from hourpass.core.policy import DAY, HOUR, MINUTE, SECOND


def longest_interval(lifetime: int) -> int:
    """The longest time between two runs, splay included, in milliseconds.

    Two runs must fit between the moment when a refresh is due (soft) and the last use (hard). With only one, a single
    failed run leaves a gap without a token. A job every 3600 s is always too late for a token of 3600 s.
    """
    latest = new_credential(access_token="", refresh_token=None, number=0, issued_at=0, lifetime=lifetime, jitter=0)
    return (latest.hard - latest.soft) // 2


def cron_words(words: Sequence[str]) -> str:
    """A command for a crontab: quoted for the shell, with `%` escaped, because `%` ends a command there."""
    return shlex.join(words).replace("%", r"\%")


def crontab_line(minutes: int, words: Sequence[str]) -> str:
    """A crontab entry that runs every `minutes` minutes, which must be a divisor of 60."""
    when = {1: "* * * * *", 60: "0 * * * *"}.get(minutes, f"*/{minutes} * * * *")
    return f"{when} {cron_words(words)}"


def longest_gap(line: str) -> int | None:
    """The longest time between two runs of a crontab entry, in milliseconds. None if the line is not an entry.

    Only minutes and hours are read. Any limit on days makes the result a day.
    """
    fields = line.split(None, 5)
    named = {"@hourly": HOUR, "@daily": DAY, "@midnight": DAY}
    if line.startswith("@"):
        return named.get(fields[0], 7 * DAY)
    if len(fields) < 6:
        return None
    try:
        minutes, hours = _values(fields[0], 60), _values(fields[1], 24)
    except ValueError:
        return None
    if fields[2:5] != ["*", "*", "*"]:
        return DAY
    runs = sorted(hour * 60 + minute for hour in hours for minute in minutes)
    gaps = [after - before for before, after in zip(runs, [*runs[1:], runs[0] + 24 * 60], strict=True)]
    return max(gaps) * MINUTE


def _values(field: str, end: int) -> set[int]:
    values: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            raise ValueError(part)
        first, last, step = match.groups()
        low = int(first or 0)
        high = int(last) if last else (low if first and not step else end - 1)
        values |= set(range(low, high + 1, int(step or 1)))
    if not values or max(values) >= end:
        raise ValueError(field)
    return values


def unit_words(words: Sequence[str]) -> str:
    """A command for ExecStart= (systemd.service(5), command lines)."""
    escaped = [word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', r"\"") for word in words]
    plain = re.compile(r"[\w@%+=:,./~$-]+", re.ASCII)
    return " ".join(word if plain.fullmatch(word) else f'"{word}"' for word in escaped)


def service_unit(words: Sequence[str], *, user: str | None, key_file: str | None) -> str:
    """The unit that refreshes once. With `user` it is a sandboxed system unit that gets its key from systemd."""
    lines = [
        "[Unit]",
        "Description=Refresh the access token if it is due",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={unit_words(words)}",
        "TimeoutStartSec=90",
    ]
    if user is None:
        # A user's systemd has no network targets.
        lines = [line for line in lines if "network-online" not in line]
    else:
        lines += [
            f"User={user}",
            *([f"LoadCredential=api-key:{key_file}"] if key_file else []),
            "CacheDirectory=hourpass",
            "CacheDirectoryMode=0700",
            "UMask=0077",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
            "PrivateDevices=yes",
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectControlGroups=yes",
            "ProtectClock=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "LockPersonality=yes",
            "MemoryDenyWriteExecute=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "CapabilityBoundingSet=",
        ]
    return "\n".join(lines) + "\n"


def timer_unit(minutes: int, splay: int) -> str:
    """The timer: every `minutes` minutes, delayed by a random time of up to `splay` seconds."""
    when = {1: "*:*", 60: "hourly"}.get(minutes, f"*:0/{minutes}")
    return "\n".join(
        [
            "[Unit]",
            "Description=Refresh the access token in time",
            "",
            "[Timer]",
            "OnActiveSec=1s",
            f"OnCalendar={when}",
            f"RandomizedDelaySec={splay}",
            "AccuracySec=1s",
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def timer_gap(text: str) -> int | None:
    """The longest time between two runs of a timer from `timer_unit`, in milliseconds. None for any other text."""
    when = re.search(r"^OnCalendar=(?:(\*:\*)|(hourly)|\*:0/(\d+))$", text, re.MULTILINE)
    if when is None:
        return None
    splay = re.search(r"^RandomizedDelaySec=(\d+)$", text, re.MULTILINE)
    minutes = 1 if when[1] else 60 if when[2] else int(when[3])
    return minutes * MINUTE + int(splay[1] if splay else 0) * SECOND
