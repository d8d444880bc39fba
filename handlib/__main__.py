"""``python -m handlib``: the command line, for torchrun."""

import sys

from handlib.cli import main

if __name__ == "__main__":
    sys.exit(main())
