"""``fastfeed top`` on real jobs: what it says, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from leftovers import eventually
from process_scripts import Script

from fastfeed.cli import main
from fastfeed.monitor.journal import views_of
from fastfeed.top.model import Loader
from fastfeed.top.watch import Watch, jobs

SLOW_ITEM = """
import time
from fastfeed import Loader
from process_sources import Batches

class Photos(Batches):
    pass

with Loader(Photos(1000, lambda i: time.sleep(3600 if i == 7 else 0.01)), workers=2) as loader:
    for number, _ in enumerate(loader, 1):
        if number == 7:
            print("up", flush=True)
"""
"""The loop waits for item 7, which takes an hour; the other worker makes those after it."""

THREE_LOADERS = """
import itertools, time
from fastfeed import Loader
from process_sources import Batches

class Train(Batches):
    pass

class Validation(Batches):
    pass

class Inline(Batches):
    pass

pause = lambda i: time.sleep(0.002)
with (
    Loader(Train(100, pause), workers=2) as train,
    Loader(Validation(100, pause), workers=3, use_multiprocessing=False) as validation,
    Loader(Inline(100, pause), workers=0) as inline,
):
    for epoch in itertools.count():
        for number, batches in enumerate(zip(train, validation, inline, strict=True)):
            time.sleep(0.002)
            if (epoch, number) == (0, 50):
                print("up", flush=True)
"""
ONE_AFTER_ANOTHER = """
from fastfeed import Loader
from process_sources import Batches

go = open("go")
for _ in range(2):
    with Loader(Batches(10), workers=0) as loader:
        next(iter(loader))
        print("up", flush=True)
        go.readline()
    go.readline()
"""
FORKING = """
import os, time
from fastfeed import Loader
from process_sources import Batches

job = os.getpid()
with Loader(Batches(10), workers=2) as loader:
    next(iter(loader))
    if os.fork():
        print("up", flush=True)
        time.sleep(60)
    while os.getppid() == job:
        time.sleep(0.02)
    os._exit(0)
"""
OF_ANOTHER_VERSION = """
import os, time

os.write(os.memfd_create("fastfeed-ring"), b"FFRING99" + bytes(1 << 20))
print("up", flush=True)
time.sleep(60)
"""
NO_LOADER = "import time; print('up', flush=True); time.sleep(60)"
TOP = [sys.executable, "-P", "-m", "fastfeed", "top"]


@contextmanager
def job(folder: Path, text: str) -> Iterator[Script]:
    """Run a script until it says "up"; end it, whatever it does, at the end."""
    folder.mkdir(exist_ok=True)
    script = Script(folder, text)
    try:
        script.wait_for("up")
        yield script
    finally:
        script.process.kill()
        script.finish()


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The process of SLOW_ITEM."""
    with job(tmp_path_factory.mktemp("stuck"), SLOW_ITEM) as script:
        (view,) = views_of(script.process.pid)
        assert eventually(lambda: view.totals().ready == 9)  # the other worker has nothing to do
        yield script.process.pid


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The process of THREE_LOADERS."""
    with job(tmp_path_factory.mktemp("several"), THREE_LOADERS) as script:
        yield script.process.pid


def top(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command, with pipes in the place of a terminal."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [*TOP, *map(str, arguments)], capture_output=True, text=True, timeout=60,
        env=environment | options.pop("environment", {}), **options,
    )  # fmt: skip


def loaders_of(pid: int, interval: float = 0.3) -> dict[str, dict[str, Any]]:
    """What --json says of each loader, by name."""
    run = top(pid, "--once", "--json", "--interval", interval)
    assert (run.returncode, run.stderr) == (0, "")
    return {loader["name"]: loader for loader in json.loads(run.stdout)["loaders"]}


# -- what is said ------------------------------------------------------------------------------


def test_a_slow_item_is_seen_in_the_making(stuck: int) -> None:
    first, second = (loaders_of(stuck)["Photos"] for _ in range(2))
    (making,) = (each for each in second["workers"] if each["state"] == "making")
    (idle,) = (each for each in second["workers"] if each["state"] == "idle")
    assert (making["index"], making["epoch"], making["busy_ratio"]) == (7, 0, 1)
    assert idle["busy_ratio"] == 0
    before = next(each for each in first["workers"] if each["state"] == "making")
    assert making["making_seconds"] > before["making_seconds"]
    assert second["waiting_seconds"] > first["waiting_seconds"] > 0
    assert second["batches"] == 7
    assert second["ready"] == 9  # of 10 ahead, one is in the making
    assert second["order_ratio"] > 0.5 * second["waiting_ratio"]


def test_workers_are_the_jobs_processes(stuck: int) -> None:
    for worker in loaders_of(stuck)["Photos"]["workers"]:
        environment = Path(f"/proc/{worker['pid']}/environ").read_bytes()
        assert b"FASTFEED_TEST=" in environment and worker["pid"] != stuck
        assert 0 < worker["private_bytes"] <= worker["rss_bytes"]


def test_each_loader_of_a_job_is_shown(several: int) -> None:
    found = loaders_of(several)
    assert list(found) == ["Train", "Validation", "Inline"]
    assert [len(each["workers"]) for each in found.values()] == [2, 3, 1]
    for loader in found.values():
        assert loader["batches"] > 50
        assert loader["batches_per_second"] > 0
        assert loader["bytes_per_second"] == pytest.approx(192 * loader["batches_per_second"])
        assert loader["make_seconds"] > 0.002
        assert loader["verdict"]
    for name in ("Validation", "Inline"):
        assert {worker["pid"] for worker in found[name]["workers"]} == {several}
    assert found["Inline"]["production_ratio"] > 0


def test_a_worker_that_dies_is_seen_to_be_replaced(stuck: int) -> None:
    watch = Watch(stuck)

    def seen() -> Loader:
        picture = watch.look()
        assert picture is not None
        return picture.loaders[0]

    (victim,) = (worker for worker in seen().workers if worker.state == "idle")
    os.kill(victim.pid, signal.SIGKILL)
    assert eventually(lambda: seen().replaced == 1)
    assert seen().workers[victim.worker].pid not in (0, victim.pid)


def test_one_screen_in_a_pipe_is_plain_and_complete(several: int) -> None:
    for columns in (40, 80):
        run = top(several, "--once", "--interval", 0.2, environment={"COLUMNS": str(columns)})
        assert (run.returncode, run.stderr) == (0, "")
        assert "\x1b" not in run.stdout
        assert max(map(len, run.stdout.splitlines())) <= columns
        for text in ("Train", "Validation", "Inline", "batches/s", "step ", "of 10", str(several)):
            assert text in run.stdout


def test_a_pipe_gets_lines_until_ctrl_c(several: int) -> None:
    process = subprocess.Popen(
        [*TOP, str(several), "--interval", "0.1"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        found = [process.stdout.readline() for _ in range(6)]
        process.send_signal(2)
        assert process.wait(60) == 0
    for line, name in zip(found, ["Train", "Validation", "Inline"] * 2, strict=True):
        assert re.match(rf"\d\d:\d\d:\d\d {name}: [\d.,]+ batches/s, .*; waiting ", line)


def test_without_rich_there_are_lines(stuck: int) -> None:
    code = "import sys; sys.modules['rich'] = None; from fastfeed.cli import main; sys.exit(main())"
    arguments = ["top", str(stuck), "--once", "--interval", "0.1"]
    text = subprocess.check_output([sys.executable, "-c", code, *arguments], text=True, timeout=60)
    assert re.match(r"\d\d:\d\d:\d\d Photos: ", text)


# -- which job ---------------------------------------------------------------------------------


def test_jobs_are_found_without_their_workers_and_forks(tmp_path: Path, several: int) -> None:
    with job(tmp_path / "forking", FORKING) as script:
        assert eventually(lambda: len(script.pids()) >= 5)  # job, fork, fork server, two workers
        found = {each.pid: each for each in jobs()}
        assert found.keys() & set(script.pids()) == {script.process.pid}
        assert found[script.process.pid].loaders == ["Batches"]
        assert found[several].loaders == ["Train", "Validation", "Inline"]
        listed = top()  # there are two at least
        assert (listed.returncode, listed.stderr) == (0, "")
        for pid in (script.process.pid, several):
            assert re.search(rf"^ *{pid}  .*script.py", listed.stdout, re.M)
        as_json = json.loads(top("--json").stdout)
        assert {script.process.pid, several} <= {each["pid"] for each in as_json["jobs"]}


def test_a_job_in_a_container_is_seen_from_outside(tmp_path: Path) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system has no namespaces of processes for us")
    text = f"import os; os.execvp('unshare', {[*apart, sys.executable, 'inside.py']})"
    (tmp_path / "inside.py").write_text(SLOW_ITEM)
    with job(tmp_path, text) as script:
        (inside,) = (each.pid for each in jobs() if each.pid in script.pids())
        loader = loaders_of(inside)["Photos"]
    assert loader["waiting_seconds"] > 0
    assert sorted(worker["state"] for worker in loader["workers"]) == ["idle", "making"]
    for worker in loader["workers"]:  # its number in there, which is another process's here
        assert worker["pid"] < 100
        assert worker["rss_bytes"] is None


def test_it_only_reads(several: int) -> None:
    maps_file = Path("/proc/self/maps")
    before = set(maps_file.read_text().splitlines())
    views = views_of(several)
    maps = [line for line in set(maps_file.read_text().splitlines()) - before if "-ring" in line]
    assert len(views) == len(maps) == 3
    assert {line.split()[1] for line in maps} == {"r--s"}


# -- what is no job ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (NO_LOADER, "Process {} has no fastfeed loader."),
        (OF_ANOTHER_VERSION, "The loader of process {} is of another version of fastfeed"),
    ],
    ids=["no loader", "another version"],
)
def test_what_is_no_loader_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    with job(tmp_path, text) as script:
        pid = script.process.pid
        for form in ([], ["--once"], ["--json"]):
            assert main(["top", str(pid), *form]) == 1
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.startswith(f"fastfeed: {sentence.format(pid)}")
            assert said.err.count("\n") == 1


def test_a_worker_is_no_job(stuck: int) -> None:
    worker = loaders_of(stuck)["Photos"]["workers"][0]["pid"]
    run = top(worker)
    assert run.returncode == 1
    assert "Give the process that makes the Loader, not a worker" in run.stderr


def test_another_users_job_is_refused(stuck: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")

    nobody = "import os; from fastfeed.top.watch import Watch; os.setgid(65534); os.setuid(65534)"
    command = [sys.executable, "-c", f"{nobody}; Watch({stuck})"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert f"MonitorError: Process {stuck} may not be looked at: " in ended.stderr


def test_a_job_that_has_just_ended(tmp_path: Path) -> None:
    with job(tmp_path, SLOW_ITEM) as script:
        script.process.kill()
        os.waitid(os.P_PID, script.process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        for _ in range(2):
            run = top(script.process.pid)
            assert (run.returncode, run.stdout) == (1, "")
            said = f"fastfeed: There is no process {script.process.pid}; it may have ended.\n"
            assert run.stderr == said
            script.process.wait()


@pytest.mark.parametrize(
    "arguments",
    [["train.py"], ["-5"], ["0"], ["9" * 30], ["--interval", "0"],
     ["--interval", "nan"], ["--json", "--plain"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_arguments_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["top", *arguments])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("usage: fastfeed top")


# -- while it looks ----------------------------------------------------------------------------


def test_a_job_that_ends_meanwhile(tmp_path: Path) -> None:
    with job(tmp_path, SLOW_ITEM) as script:
        pid = script.process.pid
        command = [*TOP, str(pid), "--json", "--interval", "0.1"]
        process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
        with process:
            assert process.stdout and process.stderr
            assert json.loads(process.stdout.readline())["loaders"]
            script.process.kill()
            assert process.wait(60) == 1
            assert process.stderr.read() == f"fastfeed: Process {pid} (" + (
                f"{sys.executable} script.py) has ended.\n"
            )
            assert all(json.loads(line)["pid"] == pid for line in process.stdout)


def test_a_job_that_opens_one_loader_after_another(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    go = os.open(tmp_path / "go", os.O_RDWR)
    with job(tmp_path, ONE_AFTER_ANOTHER) as script:
        command = [*TOP, str(script.process.pid), "--json", "--interval", "0.1"]
        with subprocess.Popen(command, stdout=-1, text=True) as process:
            assert process.stdout
            seen: list[int] = []  # the number of loaders, whenever it changes
            for line in process.stdout:
                number = len(json.loads(line)["loaders"])
                if seen[-1:] != [number]:
                    seen.append(number)
                    os.write(go, b"\n")  # on to the next
                if len(seen) == 3:
                    break
            process.send_signal(2)
    os.close(go)
    assert seen == [1, 0, 1]


def test_a_reader_that_has_gone_and_a_full_disk(stuck: int) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    run = subprocess.run(
        [*TOP, str(stuck), "--plain", "--interval", "0.1"], stdout=theirs, timeout=60
    )
    os.close(theirs)
    assert run.returncode == 128 + 13
    with open("/dev/full", "w") as full:
        command = [*TOP, str(stuck), "--once", "--interval", "0.1"]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60)
    said = b"fastfeed: Standard output cannot be written: No space left on device.\n"
    assert (run.returncode, run.stderr) == (2, said)
