"""How workers treat the memory that a source allocates and frees."""

import os
import resource

import numpy as np
import pytest

from fastfeed import Loader

PAGES = 150
ARRAYS = 8


class Temporaries:
    """Item i: the page faults that making temporary arrays took."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for array in [np.empty(PAGES * 4096, np.uint8) for _ in range(ARRAYS)]:
            array[:] = 1
        return np.array([resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before])


@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the address sanitizer has an allocator of its own",
)
def test_workers_use_the_pages_of_freed_arrays_again():
    with Loader(Temporaries(), workers=1) as loader:
        faults = [int(batch[0]) for batch in loader]
    # Given back each time, each item would take that many.
    assert sum(faults[1:]) < ARRAYS * PAGES
