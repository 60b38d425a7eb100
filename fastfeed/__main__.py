"""``python -m fastfeed`` is ``fastfeed``."""

import sys

from fastfeed.cli import main

if __name__ == "__main__":
    sys.exit(main())
