"""``python -m bench.published.landscape``: the data-loader landscape's set RANDOM, smaller.

2,000 JPEG files of 256 x 256 random pixels, batches of 16, 64 and 128, 0, 1 and 2 workers, no
model. Its authors stop after 10 batches, which lie in the time in which workers start and queues
fill; so a whole pass in the steady state stands beside that. Each library lives in a process of its
own (`landscape_lane.py`).
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

from bench.harness import LaneError, LaneProcess, missing_modules
from bench.published.landscape_data import LIBRARIES, write
from bench.published.landscape_lane import Task
from bench.rivals import Contestant
from bench.sheet import Run, Sheet, parser, spread

MODULE = "bench.published.landscape"
LANE = "bench.published.landscape_lane"
IMAGES, BATCHES, WORKERS = 2000, (16, 64, 128), (0, 1, 2)
CUTOFF = 10  # batches
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # in the main process too


@dataclass(frozen=True)
class Case:
    """A library with a batch size and a number of workers."""

    name: str
    batch: int
    workers: int


class Lanes:
    """The processes, each started when it is first needed.

    Parameters
    ----------
    folder : path
        The files.
    stack : ExitStack
        Ends them.
    """

    def __init__(self, folder: Path, stack: ExitStack):
        self._folder, self._stack = folder, stack
        self._lanes: dict[str, LaneProcess] = {}

    def measure(self, case: Case) -> Run:
        """Read the set once for this case."""
        missing = missing_modules(Contestant(case.name, "", (LIBRARIES[case.name][1],)))
        if missing:
            return {"error": f"not installed: {', '.join(missing)}"}
        try:
            lane = self._lane(case.name)
            lane.order(json.dumps({"batch": case.batch, "workers": case.workers}))
            arrivals = lane.answer()
        except LaneError as error:
            self._lanes.pop(case.name, None)
            return {"error": str(error)}
        lane.settle()
        return figures(arrivals, case.batch)

    def _lane(self, library: str) -> LaneProcess:
        if library not in self._lanes:
            task = Task(library, str(self._folder))
            lane = self._stack.enter_context(LaneProcess(task, ONE_THREAD, LANE))
            lane.answer()  # its imports are done
            self._lanes[library] = lane
        return self._lanes[library]


def figures(arrivals: Run, batch: int) -> Run:
    """Return images/s up to the cut-off and of the whole second pass, and the first batch's time.

    At the cut-off the first batch is left out, as the authors do, and the others give a rate each,
    batch / time between two arrivals. The median is taken of these: the authors' mean is that of
    the batches that were ready and took no time.
    """
    first, second = arrivals["first"][:CUTOFF], arrivals["second"]
    between = [later - earlier for earlier, later in pairwise(first)]
    whole = second[-1] - arrivals["first"][-1]
    return {
        "cutoff": statistics.median(batch / seconds for seconds in between),
        "whole": arrivals["images"] / whole,
        "first_batch_seconds": first[0],
        "batches": len(second) - 1,
        "arrivals": arrivals,
    }


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield the tables, one a batch size."""
    yield (
        f"Images/s: *{CUTOFF}*: up to batch {CUTOFF} of the first pass, as published; *all*: the "
        "whole second pass, from its beginning to its end. *first*: ms from making the loader to "
        "the first batch."
    )
    yield ""
    for batch in dict.fromkeys(sorted(run["case"]["batch"] for run in sheet.runs)):
        workers = sorted({run["case"]["workers"] for run in sheet.runs})
        yield f"## Batches of {batch}"
        yield ""
        heads = [f"{n} workers, {what}" for n in workers for what in (CUTOFF, "all", "first")]
        yield f"| | {' | '.join(heads)} |"
        yield "|---" * (len(heads) + 1) + "|"
        for library in LIBRARIES:
            cells = [cell for n in workers for cell in _cells(sheet, library, batch, n)]
            yield f"| {library} | {' | '.join(cells)} |"
        yield ""


def _cells(sheet: Sheet, library: str, batch: int, workers: int) -> list[str]:
    runs = sheet.of(name=library, batch=batch, workers=workers)
    speeds = [spread([run[what] for run in runs]) for what in ("cutoff", "whole")]
    return [*speeds, spread([1e3 * run["first_batch_seconds"] for run in runs])]


def main() -> None:
    """Measure and write the tables."""
    given = parser(MODULE, __doc__, rounds=3).parse_args()
    images, batches, workers = (64, (16,), (0, 1)) if given.quick else (IMAGES, BATCHES, WORKERS)
    sheet = Sheet("landscape", given, MODULE, {"images": images, "batches of 2nd pass": "all"})
    cases = [Case(*one) for one in product(LIBRARIES, batches, workers)]
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        sheet.hold(cases, Lanes(write(Path(folder), images), stack).measure)
    sheet.publish("The data-loader landscape's RANDOM, reduced", lines(sheet))


if __name__ == "__main__":
    main()
