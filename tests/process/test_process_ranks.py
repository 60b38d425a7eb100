"""Ranks under torchrun, which say over gloo what each of them has seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfeed

pytest.importorskip("torch")
from process_ranks_job import GLOBAL_BATCH, LENGTH, Samples

JOB = Path(__file__).with_name("process_ranks_job.py")


def torchrun(ranks: int, folder: Path, steps: int) -> str:
    """Run the job; return what it wrote about its failures."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={ranks}", str(JOB), str(folder), str(steps)]
    with open(folder / "errors", "w+") as errors:
        subprocess.run(command, stdout=errors, stderr=errors, timeout=100)
        errors.seek(0)
        return errors.read()


def test_three_ranks_are_killed_and_two_see_what_is_left(tmp_path: Path) -> None:
    steps = -(-LENGTH // GLOBAL_BATCH)
    killed = torchrun(3, tmp_path, steps + 5)  # in the middle of epoch 1
    assert f"-{signal.SIGKILL.value}" in killed, killed
    saved = json.loads((tmp_path / "seen.json").read_text())
    assert len(saved) == steps + 3  # of 5 steps
    errors = torchrun(2, tmp_path, 0)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen[: len(saved)] == saved, errors
    assert [epoch for epoch, _ in seen] == [0] * steps + [1] * steps
    assert [batch for _, batch in seen] == expected()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "errors", "seen.json"]


def expected() -> list[Any]:
    """Two epochs of one process whose batches are as large as those of all ranks."""
    options: dict[str, Any] = {"shuffle": True, "seed": 3, "workers": 0}
    with fastfeed.Loader(Samples(), GLOBAL_BATCH, **options) as loader:
        epochs = [[batch.tolist() for batch in loader] for _ in range(2)]
    for epoch in epochs:
        numbers = np.concatenate(epoch)[:, 0]
        assert sorted(numbers) == list(range(LENGTH))  # each item once
    return [*epochs[0], *epochs[1]]
