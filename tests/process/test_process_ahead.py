"""What the workers do while the caller uses a batch."""

import pytest
from leftovers import eventually
from process_sources import Batches

from fastfeed import Loader


@pytest.mark.parametrize("queue", [1, 2, 5])
@pytest.mark.parametrize("processes", [True, False])
def test_the_queue_is_full_while_the_caller_holds_a_batch(queue, processes):
    with Loader(
        Batches(20), workers=1, max_queue_size=queue, use_multiprocessing=processes
    ) as loader:
        batches = iter(loader)
        for _ in range(3):
            held = next(batches)
            assert eventually(lambda: loader.stats().ready == queue)
            del held
