"""Coverage-guided fuzzing of the HTTP front with atheris, which `make proof` installs beside .venv.

`python -m tests.hostile.fuzz_http FOLDER -max_total_time=600`, with libFuzzer's flags. The folder keeps the corpus.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hourpass.server.transport"]):
    from tests.hostile.in_process import play

from tests.hostile.mutations import GOOD
from tests.hostile.odd_requests import corpus


def one_input(data: bytes) -> None:
    """The first byte says how many moves follow. The rest is sent."""
    moves = data[0] & 0x0F if data else 0
    play(data[1 + moves :], data[1 : 1 + moves])


def main() -> None:
    """Write the seeds into the folder, and fuzz."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate((*corpus().values(), *GOOD)):
        (folder / f"seed-{number}").write_bytes(b"\x00" + raw)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
