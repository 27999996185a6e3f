"""`hourpass serve` on a machine whose clock is wrong: `skewed.py SECONDS --flag value …`."""

import os
import sys

from hourpass.cli.operator.serve import serve as command
from hourpass.clocks import wall_clock
from hourpass.server import serve as serving
from hourpass.server.run.open import default_data


def main(skew: float, *flags: str) -> None:
    given = command.make_context("serve", list(flags)).params
    named = {name: value for name, value in given.items() if value is not None}
    settings, _ = serving.load(named, os.environ, default_data(os.environ))
    serving.serve(settings, environ=os.environ, wall=lambda: wall_clock() + round(skew * 1000))


main(float(sys.argv[1]), *sys.argv[2:])
