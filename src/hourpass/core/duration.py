"""How people are told a duration."""


def span(milliseconds: int) -> str:
    """A duration in its two largest units: `29 d 23 h`. A negative one reads like a positive one."""
    seconds = abs(milliseconds) // 1000
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
