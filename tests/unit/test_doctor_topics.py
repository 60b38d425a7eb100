"""What the doctor says about machines that are not this one: folders that look like /proc and /sys.

The files hold what real kernels write; each test changes what it is about.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from fastfeed import Loader
from fastfeed.doctor import Finding, Status, System, cores, files, memory, numa, pages, shm, workers
from fastfeed.machine.system import listed
from fastfeed.monitor.words import count

GIB = 1 << 30
Machine = Callable[..., System]

VERSION_2 = {
    "proc/meminfo": "MemTotal:       65536000 kB\nMemFree: 1 kB\nMemAvailable:   32768000 kB\n",
    "proc/self/cgroup": "0::/user.slice/job.scope\n",
    "sys/devices/system/cpu/online": "0-15\n",
    "sys/fs/cgroup/user.slice/job.scope/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.current": f"{GIB}\n",
}
VERSION_1 = {
    "proc/meminfo": VERSION_2["proc/meminfo"],
    "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
    "sys/devices/system/cpu/online": "0-15\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Makes a machine of files; None as a text removes one."""

    def make(files: dict[str, str], changes: dict[str, str | None] | None = None) -> System:
        for name, text in {**files, **(changes or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        return System(tmp_path)

    return make


# -- cores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["cgroup v1", "cgroup v2"])
def test_all_cores_are_ok(machine: Machine, files: dict[str, str]) -> None:
    found = cores.look(machine(files), affinity=16)
    assert (found.status, found.seen) == (Status.OK, "16 cores")
    assert found.values["quota_cores"] is None
    assert found.values["usable_cores"] == 16


@pytest.mark.parametrize(
    ("files", "changes"),
    [
        (VERSION_2, {"sys/fs/cgroup/user.slice/job.scope/cpu.max": "350000 100000\n"}),
        (VERSION_2, {"sys/fs/cgroup/user.slice/cpu.max": "350000 100000\n"}),
        (VERSION_2, {"sys/fs/cgroup/cpu.max": "175000 50000\n"}),
        (VERSION_1, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "350000\n"}),
        (
            VERSION_1,
            {
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "350000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
        ),
    ],
    ids=["v2 own", "v2 above", "v2 in a container", "v1 in a container", "v1 own"],
)
def test_a_quota_counts_wherever_it_is_set(
    machine: Machine, files: dict[str, str], changes: dict[str, str]
) -> None:
    found = cores.look(machine(files, changes), affinity=16)
    assert (found.status, found.values["quota_cores"]) == (Status.NOTE, 3.5)
    assert "3.5 cores' time" in found.seen
    assert "--cpus" in found.cure


def test_the_least_of_several_quotas_counts(machine: Machine) -> None:
    limits = {
        "sys/fs/cgroup/user.slice/job.scope/cpu.max": "800000 100000\n",
        "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
    }
    assert cores.look(machine(VERSION_2, limits), affinity=16).values["quota_cores"] == 2


def test_an_affinity_below_the_machine_is_noted(machine: Machine) -> None:
    found = cores.look(machine(VERSION_2), affinity=4)
    assert (found.status, found.seen) == (Status.NOTE, "4 of 16 cores")


@pytest.mark.parametrize("affinity", [1, 16])
def test_less_than_two_cores_are_a_warning(machine: Machine, affinity: int) -> None:
    quota = {"sys/fs/cgroup/cpu.max": f"{150000 if affinity == 16 else 'max'} 100000\n"}
    found = cores.look(machine(VERSION_2, quota), affinity=affinity)
    assert (found.status, found.values["usable_cores"]) == (
        Status.WARNING,
        1 if affinity == 1 else 1.5,
    )


def test_without_files_the_affinity_is_what_is_known(machine: Machine) -> None:
    assert cores.look(machine({}), affinity=3).seen == "3 cores"


def test_this_machine_has_the_cores_of_its_affinity() -> None:
    assert cores.look(System()).values["affinity_cores"] == len(os.sched_getaffinity(0))


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["cgroup v1", "cgroup v2"])
def test_memory_without_a_limit_is_ok(machine: Machine, files: dict[str, str]) -> None:
    found = memory.look(machine(files))
    assert (found.status, found.values["limit_bytes"]) == (Status.OK, None)
    assert found.values["headroom_bytes"] == 32768000 * 1024 // 10 * 8
    assert found.seen == "31.25 GiB of 62.50 GiB available; a Loader may take 25.00 GiB"


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (VERSION_2, "user.slice/job.scope/memory.max"),
        (VERSION_1, "memory/memory.limit_in_bytes"),
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_a_limit_is_noted_and_counts(machine: Machine, files: dict[str, str], path: str) -> None:
    found = memory.look(machine(files, {f"sys/fs/cgroup/{path}": f"{6 * GIB}\n"}))
    assert (found.status, found.values["limit_bytes"]) == (Status.NOTE, 6 * GIB)
    assert found.values["headroom_bytes"] == 5 * GIB // 10 * 8
    assert "a limit of 6.00 GiB; a Loader may take 4.00 GiB" in found.seen


def test_a_limit_above_the_machines_memory_is_none(machine: Machine) -> None:
    path = "sys/fs/cgroup/user.slice/job.scope/memory.max"
    assert memory.look(machine(VERSION_2, {path: f"{1 << 50}\n"})).values["limit_bytes"] is None


def test_little_memory_is_a_warning_with_the_largest_batch(machine: Machine) -> None:
    found = memory.look(
        machine(VERSION_2, {"proc/meminfo": "MemTotal: 1024000 kB\nMemAvailable: 175000 kB\n"})
    )
    assert found.status is Status.WARNING
    assert "batches of 9.8 MiB and more end in OutOfMemory" in found.means  # 175000 KiB * 0.8 / 14


def test_memory_that_nobody_tells_is_a_warning(machine: Machine) -> None:
    found = memory.look(machine({}))
    assert (found.status, found.values["headroom_bytes"]) == (Status.WARNING, None)


# -- limits ------------------------------------------------------------------------------------


def test_open_files_are_counted_and_enough_are_ok(machine: Machine) -> None:
    system = machine({f"proc/self/fd/{number}": "" for number in range(7)})
    found = files.look(system, (1024, 4096))
    assert (found.status, found.seen) == (Status.OK, "7 of at most 1024 open")


def test_few_open_files_are_a_warning_with_the_workers_that_they_allow(machine: Machine) -> None:
    system = machine({f"proc/self/fd/{number}": "" for number in range(8)})
    found = files.look(system, (8 + files.A_LOADER + 5 * files.A_WORKER, 2048))
    assert found.status is Status.WARNING
    assert "it can have about 5 workers" in found.means
    assert found.cure.startswith("ulimit -n 2048")
    assert "hard limit, which is 64 too" in files.look(system, (64, 64)).cure


def test_a_loader_has_no_more_files_open_than_is_said() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Loader(workers.Numbered(), workers=8) as loader:
        next(iter(loader))
        opened = set(os.listdir("/proc/self/fd")) - before
    assert 8 < len(opened) <= files.A_LOADER + 8 * files.A_WORKER


def test_no_limit_of_open_files(machine: Machine) -> None:
    unlimited = resource.RLIM_INFINITY
    found = files.look(machine({}), (unlimited, unlimited))
    assert (found.status, found.values["soft_limit"]) == (Status.OK, None)


# -- pages, nodes, /dev/shm --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word", "status"),
    [
        ("always within_size advise [never] deny force", "never", Status.NOTE),
        ("always within_size [advise] never deny force", "advise", Status.NOTE),
        ("[always] within_size advise never deny force", "always", Status.OK),
        ("always [within_size] advise never deny force", "within_size", Status.OK),
    ],
)
def test_huge_pages(machine: Machine, text: str, word: str, status: Status) -> None:
    files = {
        "sys/kernel/mm/transparent_hugepage/shmem_enabled": text,
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    }
    found = pages.look(machine(files))
    assert (found.status, found.values) == (status, {"shared": word, "private": "madvise"})


def test_a_kernel_without_huge_pages(machine: Machine) -> None:
    assert pages.look(machine({})).status is Status.OK


NODES = {
    "sys/devices/system/node/node0/cpulist": "0-7,16-23\n",
    "sys/devices/system/node/node1/cpulist": "8-15,24-31\n",
}


@pytest.mark.parametrize(
    ("affinity", "status", "seen"),
    [
        ({1, 2, 17}, Status.OK, "bound to node0 of 2"),
        ({7, 8}, Status.NOTE, "2 nodes, this process runs on 2"),
    ],
)
def test_numa_nodes(machine: Machine, affinity: set[int], status: Status, seen: str) -> None:
    found = numa.look(machine(NODES), affinity)
    assert (found.status, found.seen) == (status, seen)


def test_one_node_and_none_are_ok(machine: Machine) -> None:
    assert numa.look(machine({})).seen == "one node"


def test_dev_shm_is_measured(tmp_path: Path) -> None:
    (tmp_path / "dev/shm").mkdir(parents=True)
    about = os.statvfs(tmp_path)
    assert shm.look(System(tmp_path)).values["size_bytes"] == about.f_blocks * about.f_frsize


def test_a_small_dev_shm_is_a_note_that_fastfeed_does_not_mind() -> None:
    found = shm.judge("64.0 MiB of 64.0 MiB free", {}, 64 << 20)
    assert found.status is Status.NOTE
    assert "bus error" in found.means
    assert found.cure.startswith("None needed for fastfeed")


def test_no_dev_shm_at_all(machine: Machine) -> None:
    assert shm.look(machine({})).seen == "there is none"


# -- findings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.WARNING, Status.PROBLEM])
@pytest.mark.parametrize(("means", "cure"), [("", "cure"), ("means", "")])
def test_a_complaint_must_have_a_meaning_and_a_cure(status: Status, means: str, cure: str) -> None:
    with pytest.raises(ValueError, match="must say"):
        Finding("topic", status, "seen", {}, means, cure)


def test_numbers_as_the_kernel_lists_them() -> None:
    assert listed("0-3,8,10-11") == {0, 1, 2, 3, 8, 10, 11}
    assert listed("") == set()
    assert (count(1, "core"), count(2, "core")) == ("1 core", "2 cores")
