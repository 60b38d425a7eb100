"""One rank of a job under torchrun; see test_process_ranks.py.

python -m torch.distributed.run --nproc-per-node N process_ranks_job.py FOLDER STEPS

Takes so many steps (0: until the end of epoch 1) from where the checkpoint in FOLDER says, and
writes what all ranks have seen; every third step there is a checkpoint. After STEPS it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import fastfeed
from fastfeed.ranks import shard_of

LENGTH, GLOBAL_BATCH = 52, 6


class Samples:
    """Sample i is i, and random numbers of its own."""

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array([index, np.random.rand()])


def all_of(part: list[Any]) -> list[Any]:
    """What all ranks have, in the order of the ranks."""
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return [value for one in parts for value in one]


def save(folder: Path, loader: fastfeed.Loader, seen: list[Any]) -> None:
    state = loader.state_dict()
    assert all_of([state]) == [state] * dist.get_world_size()
    if dist.get_rank() == 0:
        torch.save({"data": state}, folder / "new.pt")
        os.replace(folder / "new.pt", folder / "checkpoint.pt")
        (folder / "seen.json").write_text(json.dumps(seen))


def main(folder: Path, steps: int) -> None:
    said_by_torchrun = shard_of("auto")
    dist.init_process_group("gloo")
    assert shard_of("auto") == said_by_torchrun
    world = said_by_torchrun.world
    options: dict[str, Any] = {"shuffle": True, "seed": 3, "workers": 1, "uneven": "short"}
    seen = []
    with fastfeed.Loader(Samples(), GLOBAL_BATCH // world, shard="auto", **options) as loader:
        if (folder / "checkpoint.pt").exists():
            loader.load_state_dict(torch.load(folder / "checkpoint.pt")["data"])
            seen = json.loads((folder / "seen.json").read_text())
        taken = 0
        while (epoch := loader.state_dict()["epoch"]) < 2:
            for batch in loader:
                seen.append([epoch, all_of(batch.tolist())])  # as long as steps are equal
                taken += 1
                if taken % 3 == 0:
                    save(folder, loader, seen)
                if taken == steps:
                    os.kill(os.getpid(), signal.SIGKILL)
        save(folder, loader, seen)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
