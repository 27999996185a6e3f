"""`hourpass` that is killed (SIGKILL) at a step of replacing a file: `killed.py STEP FILE arguments …`."""

import os
import signal
import sys

from hourpass.cli import main

step, file, *arguments = sys.argv[1:]
folder, name = os.path.split(file)


def is_step(event: str, args: tuple[object, ...]) -> bool:
    if step == "the new key is about to be written":
        return event == "open" and isinstance(args[0], str | os.PathLike) and f".{name}." in os.fspath(args[0])
    if step == "the new key is written beside the file":
        return event == "os.rename" and os.fspath(args[1]) == file
    # The folder is opened to make the new name durable.
    return event == "open" and isinstance(args[0], str | os.PathLike) and os.fspath(args[0]) == folder


def hook(event: str, args: tuple[object, ...]) -> None:
    if event in ("open", "os.rename") and is_step(event, args):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(hook)
sys.argv = ["hourpass", *arguments]
main()
