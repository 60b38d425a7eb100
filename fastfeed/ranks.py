"""Which of how many ranks this process is: asked for, or as its launcher says."""

from __future__ import annotations

import operator
import os
import sys
import warnings
from typing import Any

from fastfeed.errors import ArgumentError
from fastfeed.order import ALONE, Shard

MOST_RANKS = 1 << 20

LAUNCHERS = (
    ("RANK", "WORLD_SIZE"),  # torchrun, Accelerate, DeepSpeed
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # mpirun
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun
)
"""Who starts the ranks says it by these; the first pair that is set counts. Of SLURM's, a batch
script itself has SLURM_PROCID and SLURM_NTASKS too, and is one process: only srun sets the last.
"""


def shard_of(asked: Any) -> Shard:
    """Return which share of each epoch this process takes.

    Parameters
    ----------
    asked : None, (int, int) or "auto"
        None: all of it. A rank and the number of ranks. ``"auto"``: what is found first of
        ``torch.distributed`` and ``jax.distributed``, if the program has initialised them; Ray
        Train; the variables of torchrun (``RANK``, ``WORLD_SIZE``), of Open MPI and of SLURM's
        ``srun``. Nothing is imported or initialised for that. None of them: one rank.

    Raises
    ------
    ArgumentError
        If it is nothing of these, or the rank is not one of the ranks.
    """
    if asked is None:
        return ALONE
    if isinstance(asked, str):
        if asked != "auto":
            raise no_shard(asked)
        return found()
    try:
        rank, world = asked
        return checked(operator.index(rank), operator.index(world), f"shard={asked!r}")
    except TypeError:
        raise no_shard(asked) from None
    except ValueError as error:
        raise error if isinstance(error, ArgumentError) else no_shard(asked) from None


def no_shard(asked: Any) -> ArgumentError:
    """Say what a shard is."""
    return ArgumentError(
        'shard is None, "auto", or the rank of this process and the number of ranks: shard=(0, 4).',
        f"shard={asked!r}",
    )


def checked(rank: int, world: int, said: str) -> Shard:
    """Return the shard, if there is one of that number.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    if not 1 <= world <= MOST_RANKS:
        raise ArgumentError(
            f"The number of ranks must be from 1 to {MOST_RANKS}: shard=(rank, ranks).", said
        )
    if not 0 <= rank < world:
        raise ArgumentError(
            f"Of {world} ranks the first is 0 and the last {world - 1}: there is no rank {rank}. "
            "Give shard=(rank, ranks), the rank first.",
            said,
        )
    return Shard(rank, world)


def found() -> Shard:
    """Return what the program or its launcher says."""
    for source in (of_torch, of_jax, of_ray, of_environment):
        shard = source()
        if shard is not None:
            return shard
    return ALONE


def of_torch() -> Shard | None:
    """Return what ``torch.distributed`` says, if it was initialised."""
    torch: Any = sys.modules.get("torch.distributed")
    if torch is None or not torch.is_available() or not torch.is_initialized():
        return None
    return Shard(torch.get_rank(), torch.get_world_size())


def of_jax() -> Shard | None:
    """Return what JAX says, if ``jax.distributed`` was initialised: before that, asking JAX would
    start its backend, and it could not be initialised any more.
    """
    jax: Any = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return None
    return Shard(jax.process_index(), jax.process_count())


def of_ray() -> Shard | None:
    """Return what Ray Train says, in a function that it runs."""
    train: Any = sys.modules.get("ray.train")
    if train is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # outside of a run Ray raises, or warns and says 0 of 1
        try:
            context = train.get_context()
            shard = Shard(context.get_world_rank(), context.get_world_size())
        except RuntimeError:
            return None
    return shard if shard.world > 1 else None


def of_environment() -> Shard | None:
    """Return what the launcher has set.

    Raises
    ------
    ArgumentError
        If one of a pair is missing, or they are no rank and number of ranks.
    """
    for names in LAUNCHERS:
        rank, world = map(os.environ.get, names)
        if rank is None and world is None:
            continue
        if world is None and names[0] == "SLURM_PROCID":
            continue  # a batch script
        said = f"{names[0]}={rank}, {names[1]}={world}"
        try:
            return checked(int(str(rank)), int(str(world)), said)
        except ValueError as error:
            raise ArgumentError(
                f'shard="auto" reads {names[0]} and {names[1]} of the environment, which the '
                f"launcher sets: {wrong(error, names)} Start the script by the launcher "
                "(torchrun, mpirun, srun), set or unset both, or give shard=(rank, ranks).",
                said,
            ) from None
    return None


def wrong(error: ValueError, names: tuple[str, str]) -> str:
    """Say what is wrong with a launcher's variables."""
    if isinstance(error, ArgumentError):
        return "they name no rank."
    missing = [name for name in names if name not in os.environ]
    return f"{missing[0]} is missing." if missing else "they are no integers."
