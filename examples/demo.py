"""The demo: make the photographs, train by Keras's way and by fastfeed, show what differs.

Run it with ``python examples/demo.py [--epochs 5] [--workers 2] [--data DIR] [--out DIR]``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="of each training, 2 or more (5)")
    parser.add_argument("--workers", type=int, default=2, help="fastfeed's worker processes (2)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("build/demo-photos"),
        metavar="DIR",
        help="the photographs; made if missing (build/demo-photos)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo"), metavar="DIR", help="results (build/demo)"
    )
    given = parser.parse_args()
    if given.epochs < 2:
        parser.error(
            f"--epochs must be 2 or more, since the first one is not measured: got {given.epochs}"
        )
    return given


def divert_notices(file: Path) -> None:
    """Send what compiled code and worker processes write to stderr to `file`.

    TensorFlow 2.21 prints notices at its import that TF_CPP_MIN_LOG_LEVEL does not stop.  Python's
    own stderr, with warnings and tracebacks, stays on the terminal.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with file.open("wb") as sink:
        os.dup2(sink.fileno(), 2)


def run(data: Path, out: Path, epochs: int, workers: int) -> None:
    """Make the data set, train by each way, print the table and draw the picture."""
    from photos import make_photos
    from report import picture, table
    from train_photos import compare  # imports TensorFlow, so only once its notices are diverted

    make_photos(data)
    work, runs = compare(data, epochs, workers)
    print(f"\n{work}. Means of {epochs - 1} epochs, the first one left out:\n\n{table(runs)}\n")
    file = out / "train_photos.png"
    picture(runs, work, file)
    print(f"picture: {file}")


def main() -> None:
    """Run the demo; Ctrl-C ends it without a traceback."""
    given = parse_arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    divert_notices(given.out / "notices.log")
    try:
        run(given.data, given.out, given.epochs, given.workers)
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
        # Not sys.exit: while Python shuts down, TensorFlow waits without end for the thread that
        # makes Keras's batches, which waits for Python.  fastfeed has ended its workers by now.
        os._exit(130)


if __name__ == "__main__":
    main()
