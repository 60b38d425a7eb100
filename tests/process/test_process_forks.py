"""Forks of the process that has a loader.

Each in a script: forking pytest itself, with the threads of all the frameworks that it has loaded,
would be another test.
"""

from __future__ import annotations

import pytest
from process_scripts import run

START = """
import gc, multiprocessing
from fastfeed import Loader
from process_sources import Batches
from process_support import copied, in_a_fork, indices

def use_a_loader():
    return indices(Loader(Batches(3), workers=2))  # never closed

"""


@pytest.mark.parametrize("kind", ["workers=2", "workers=2, use_multiprocessing=False", "workers=0"])
def test_a_fork_is_told_that_the_loader_is_not_its_own(tmp_path, kind):
    text = f"""
with Loader(Batches(20), {kind}) as loader:
    batches = iter(loader)
    given = [copied(next(batches))]
    print(in_a_fork(lambda: next(batches)))
    print(in_a_fork(loader.close))
    given += [copied(batch) for batch in batches]
    print(indices(given) == list(range(20)))
"""
    status, output = run(tmp_path, START + text)
    said = output.splitlines()
    assert status == 0
    assert said[0].startswith("LoaderClosed: This loader belongs to the process that made it")
    assert said[1:] == ["None", "True"]


def test_a_fork_can_drop_the_loader_and_make_its_own(tmp_path):
    text = """
loader = Loader(Batches(20), workers=2)
batches = iter(loader)
held = next(batches)

def drop_and_make():
    global loader, batches, held
    del loader, batches, held
    gc.collect()
    with Loader(Batches(3), workers=1) as own:
        return indices(own)

print(in_a_fork(drop_and_make))
print(held[0][0, 0], indices(batches) == list(range(1, 20)))
loader.close()
"""
    assert run(tmp_path, START + text) == (0, "[0, 1, 2]\n0 True\n")


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_fork_that_drops_batches_does_not_change_them_for_the_parent(tmp_path, debug):
    text = """
with Loader(Batches(20), workers=2) as loader:
    batches = iter(loader)
    held = next(batches)

    def drop():
        global held
        del held
        gc.collect()

    in_a_fork(drop)
    print(held[0].sum(), indices(batches) == list(range(1, 20)))
"""
    environment = {"FASTFEED_DEBUG": debug}
    assert run(tmp_path, START + text, environment=environment) == (0, "0 True\n")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_multiprocessing_may_have_a_loader(tmp_path, method):
    text = f"""
if __name__ == "__main__":
    assert use_a_loader() == [0, 1, 2]
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        print(pool.apply(use_a_loader))
"""
    assert run(tmp_path, START + text) == (0, "[0, 1, 2]\n")
