"""How the programs of this project start and fail: one sentence on standard error, exit status 2 for bad input."""

import sys

from absl import app, flags


def start(name, main):
    """Parses the flags, defined before, and runs `main(argv)`; a flag that can't be ends the program `name`."""

    def parse(argv):
        try:
            return flags.FLAGS(argv)
        except flags.Error as error:
            fail(name, f"{error}; --help lists all flags")

    app.run(main, flags_parser=parse)


def fail(name, error):
    """Ends the program `name` for bad input."""
    print(f"{name}: {error}", file=sys.stderr)
    sys.exit(2)
