"""How many cores workers and the training loop can have."""

from __future__ import annotations

import os

from fastfeed.doctor.finding import Finding, Status
from fastfeed.machine.limits import quota
from fastfeed.machine.system import System, listed
from fastfeed.monitor.words import count


def look(system: System, affinity: int | None = None) -> Finding:
    """Look at the affinity and at the quota of the cgroup.

    Parameters
    ----------
    affinity : int, optional
        Cores that this process may run on. Default: asked of the kernel.
    """
    bound = affinity or len(os.sched_getaffinity(0))
    machine = len(listed(system.text("sys/devices/system/cpu/online") or "")) or bound
    limit = quota(system)
    usable = bound if limit is None else min(bound, limit)
    seen = f"{bound} of {count(machine, 'core')}" if bound < machine else count(machine, "core")
    if limit is not None:
        seen += f", with a quota of {limit:g} cores' time"
    status, means, cure = _judge(bound, machine, limit, usable)
    values = {
        "machine_cores": machine,
        "affinity_cores": bound,
        "quota_cores": limit,
        "usable_cores": usable,
    }
    return Finding("cores", status, seen, values, means, cure)


def _judge(bound: int, machine: int, limit: float | None, usable: float) -> tuple[Status, str, str]:
    """Return the status, what it means and the cure."""
    if usable < 2:
        return (
            Status.WARNING,
            "Workers and the training loop have fewer than two cores together: workers help only "
            "where making a batch waits for a disk or a network.",
            "Give the job more cores: docker --cpus, Kubernetes limits.cpu, Slurm "
            "--cpus-per-task, or taskset.",
        )
    if limit is not None and limit < bound:
        return (
            Status.NOTE,
            "Once that time is used up, the kernel stops workers and training alike until the "
            "next period. Libraries that start a thread for each core they see use it up sooner.",
            f"Keep workers and the training's own threads at {limit:g} or fewer together, or "
            "raise the quota: docker --cpus, Kubernetes limits.cpu.",
        )
    if bound < machine:
        return (
            Status.NOTE,
            f"This process and its workers run on {count(bound, 'core')} only.",
            "If that is not meant: taskset, docker --cpuset-cpus, Slurm --cpus-per-task.",
        )
    return Status.OK, "", ""
