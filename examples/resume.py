"""A training that is killed twice, and still learns what it would have learned undisturbed.

    python examples/resume.py

The job saves its weights and the loader's state together, every 5 steps. Killed and started again,
it goes on in the middle of the epoch: each sample counts once an epoch, and the weights come out
the same to the last bit. So they do when it goes on with other workers, or on other ranks with the
same global batch.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastfeed

SAMPLES, EPOCHS, BATCH = 2000, 3, 32


class Line:
    """Points of a noisy line; item i is one of them, with its number."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        x = index / SAMPLES
        return index, x, 3 * x - 1 + np.random.normal() / 9  # seeded from (seed, epoch, index)


def job(checkpoint):
    """Fit the line, from where the checkpoint says; print each step."""
    weights, counts = np.zeros(2), np.zeros(SAMPLES, int)
    with fastfeed.Loader(Line(), batch_size=BATCH, workers=2, shuffle=True, seed=1) as loader:
        if checkpoint.exists():
            saved = json.loads(checkpoint.read_text())
            weights, counts = np.array(saved["weights"]), np.array(saved["counts"])
            loader.load_state_dict(saved["data"])
        while (epoch := loader.state_dict()["epoch"]) < EPOCHS:
            for step, (index, x, y) in enumerate(loader, 1):
                error = weights[0] * x + weights[1] - y
                weights -= 0.1 * np.array([(error * x).mean(), error.mean()])
                counts[index] += 1
                if step % 5 == 0:
                    save(checkpoint, weights, counts, loader.state_dict())
                print(f"epoch {epoch + 1}, {counts.sum() - epoch * SAMPLES} samples", flush=True)
        save(checkpoint, weights, counts, loader.state_dict())


def save(checkpoint, weights, counts, state):
    """Replace the checkpoint as a whole."""
    new = checkpoint.with_suffix(".new")
    new.write_text(
        json.dumps({"weights": weights.tolist(), "counts": counts.tolist(), "data": state})
    )
    os.replace(new, checkpoint)


def run(checkpoint, steps=None):
    """Run the job in a process; after so many steps kill it. Return where it was."""
    command, reached = [sys.executable, __file__, str(checkpoint)], "its begin"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for step, line in enumerate(process.stdout, 1):
            reached = line.strip()
            if step == steps:
                process.kill()
    return reached


def main():
    """Run it undisturbed and disturbed, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder, "whole.json"), Path(folder, "parts.json")
        print("undisturbed, ended at:", run(whole))
        print("killed at:            ", run(parts, 40))
        print("killed again at:      ", run(parts, 60))
        print("ended at:             ", run(parts))
        expected, seen = json.loads(whole.read_text()), json.loads(parts.read_text())
        print("each sample was used", *set(seen["counts"]), "times")
        print("weights", seen["weights"])
        print("the same weights:", seen == expected)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        job(Path(sys.argv[1]))
    else:
        main()
