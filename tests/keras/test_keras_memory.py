"""A long training takes up no more memory at its end than at its beginning."""

import json
import os
import subprocess
import sys

import pytest

from fastfeed.keras import host

LONG_TRAINING = """
import gc, json
from pathlib import Path

import keras
import numpy as np

import fastfeed


class Numbers:
    def __len__(self):
        return 5

    def __getitem__(self, index):
        x = np.full((32, 1024), index, "float32")  # 900 of these would be seen
        return x, x[:, :1]


class Look(keras.callbacks.Callback):
    '''Notes the processes after each epoch, and their memory (kB) after some.'''

    seen = []

    def on_epoch_end(self, epoch, logs=None):
        pids = tree("self")
        self.seen.append({"pids": pids[1:]})
        if epoch + 1 in (20, 200):
            gc.collect()
            self.seen[-1]["kB"] = sum(map(pss, pids))


def tree(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [child for text in lists for child in text.read_text().split()]
    return [pid, *(one for child in children for one in tree(child))]


def pss(pid):
    # Without mapped files: of libraries a process has less while others run that use them.
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon", "Pss_Shmem")))


model = keras.Sequential([keras.Input((1024,)), keras.layers.Dense(8), keras.layers.Dense(1)])
model.compile("adam", "mse")
fastfeed.fit_generator(
    model, Numbers(), epochs=200, verbose=0, callbacks=[Look()], workers=2, use_multiprocessing=True
)
print(json.dumps(Look.seen))
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", host.BACKENDS)
def test_200_epochs_with_the_same_workers_in_the_same_memory(backend, tmp_path):
    script = tmp_path / "training.py"
    script.write_text(LONG_TRAINING)
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=280
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen) == 200
    assert len(seen[0]["pids"]) == 3  # the fork server and its workers
    assert all(epoch["pids"] == seen[0]["pids"] for epoch in seen), "a worker was started anew"
    assert seen[199]["kB"] < 1.02 * seen[19]["kB"]
