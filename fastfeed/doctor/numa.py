"""How many memory nodes there are, and on which of them this process runs."""

from __future__ import annotations

import os

from fastfeed.doctor.finding import Finding, Status
from fastfeed.machine.system import System, listed

NODES = "sys/devices/system/node"


def look(system: System, affinity: set[int] | None = None) -> Finding:
    """Look at the nodes.

    Parameters
    ----------
    affinity : set of int, optional
        Cores that this process may run on. Default: asked of the kernel.
    """
    allowed = affinity or os.sched_getaffinity(0)
    nodes = {
        path.parent.name: listed(system.text(str(path.relative_to(system.root))) or "")
        for path in system.glob(f"{NODES}/node[0-9]*/cpulist")
    }
    ours = [name for name, cores in nodes.items() if cores & allowed]
    values = {"nodes": len(nodes), "usable_nodes": len(ours)}
    if len(nodes) < 2:
        return Finding("NUMA", Status.OK, "one node", values)
    if len(ours) == 1:
        return Finding("NUMA", Status.OK, f"bound to {ours[0]} of {len(nodes)}", values)
    return Finding(
        "NUMA", Status.NOTE, f"{len(nodes)} nodes, this process runs on {len(ours)}", values,
        "A batch that crosses from one node to another is copied more slowly, and so is one that "
        "goes to a GPU of another node.",
        "Bind the job to the node of its GPU (nvidia-smi topo -m shows it): "
        "numactl --cpunodebind=0 --preferred=0 python train.py",
    )  # fmt: skip
