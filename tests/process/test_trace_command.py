"""``fastfeed trace`` on real jobs: what it writes, what it leaves alone, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from leftovers import eventually
from process_scripts import Script
from trace_rules import read

TWO_LOADERS = """
import time
from fastfeed import Loader
from process_sources import Batches

class Train(Batches):
    pass

class Validation(Batches):
    pass

pause = lambda i: time.sleep(0.002)
with Loader(Train(50, pause), workers=2) as train, Loader(Validation(50), workers=0) as validation:
    for epoch in range(1000):
        for number, _ in enumerate(zip(train, validation, strict=True)):
            time.sleep(0.001)
            if (epoch, number) == (0, 10):
                print("up", flush=True)
        print("epoch", epoch, flush=True)
"""
STANDING = """
import time
from fastfeed import Loader
from process_sources import Batches

with Loader(Batches(10), workers=0) as loader:
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    print("up", flush=True)
    time.sleep(60)
"""
ENDING = """
import os
from fastfeed import Loader
from process_sources import Batches

os.mkfifo("go on")
with Loader(Batches(10**6), workers=0) as loader:
    for number, _ in enumerate(loader):
        if number == 3:
            print("up", flush=True)
            open("go on").read()
        if number == 30:
            break
"""


@pytest.fixture(params=[TWO_LOADERS])
def job(request, tmp_path):
    """A job that runs, until the test is over."""
    script = Script(tmp_path, request.param)
    script.wait_for("up")
    yield script
    script.process.terminate()
    script.process.wait()


def trace(*arguments, **environment):
    """Run the command, and return how it ended."""
    return subprocess.run(
        command(*arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def goes_on(job):
    """Tell whether a job has a whole epoch from now on."""
    job._read(0)
    seen = job.output.count("epoch")
    return eventually(lambda: job._read(0.1) and job.output.count("epoch") > seen + 1)


def command(*arguments):
    return [sys.executable, "-m", "fastfeed", "trace", *map(str, arguments)]


def test_a_running_job_is_recorded_and_goes_on(job, tmp_path):
    path = tmp_path / "t.json.gz"
    ended = trace(job.process.pid, "-o", path, "--seconds", 0.5)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = read(path)
    pid = job.process.pid
    assert found.groups == [
        f"fastfeed: Train, process {pid}",
        f"fastfeed: Validation, process {pid}",
    ]
    for group, workers in (("0", 2), ("1", 1)):
        lanes = [name for name in found.lanes if name.startswith(f"{group}: worker")]
        assert len(lanes) == workers
        assert all(found.lanes[name] for name in lanes)
        assert ["process" in name for name in lanes] == [workers == 2] * workers
        assert any(one.name == "step" for one in found.lanes[f"{group}: consumer"])
    assert found.arrows and found.counters
    assert found.about["batches_lost"] == "0"
    batches = " ".join(ended.stdout.split())
    assert f"{path}: {found.about['batches']} batches of 2 loaders, " in batches
    assert goes_on(job)


def test_ctrl_c_writes_what_there_is(job, tmp_path):
    path = tmp_path / "t.json"
    arguments = command(job.process.pid, "-o", path, "--seconds", 60)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as recording:
        assert recording.stdout.readline().startswith("Recording process")
        assert goes_on(job)
        recording.send_signal(signal.SIGINT)
        assert "batches of 2 loaders" in recording.stdout.read()
    assert recording.returncode == 0
    assert read(path).named("step")


@pytest.mark.parametrize("job", [ENDING], indirect=True)
def test_a_job_that_ends_meanwhile_is_written_as_far_as_it_came(job, tmp_path):
    arguments = command(job.process.pid, "-o", tmp_path / "t.json", "--seconds", 60)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as recording:
        assert recording.stdout.readline().startswith("Recording process")
        (tmp_path / "go on").write_text("")
        job.process.wait()
        recording.stdout.read()
    assert recording.returncode == 0
    assert [one.name for one in read(tmp_path / "t.json").named("make")][-1] == "make #30"


@pytest.mark.parametrize("job", [STANDING], indirect=True)
def test_a_loop_that_stands_still_is_told_apart_and_its_journal_can_be_had(job, tmp_path):
    path = tmp_path / "t.json"
    ended = trace(job.process.pid, "-o", path, "--seconds", 0.2)
    assert ended.returncode == 1
    assert "handed out no batch" in ended.stderr and "--seconds 0" in ended.stderr
    assert not path.exists()
    assert trace(job.process.pid, "-o", path, "--seconds", 0).returncode == 0
    assert [one.name for one in read(path).named("make")] == ["make #0", "make #1", "make #2"]


def test_the_name_of_the_file_is_that_of_the_process(job, tmp_path):
    arguments = command(job.process.pid, "--seconds", 0)
    ended = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0
    assert read(tmp_path / f"trace-{job.process.pid}.json").named("step")


def test_it_fits_into_40_columns(job, tmp_path):
    ended = trace(job.process.pid, "--seconds", 0, "-o", tmp_path / "t.json", COLUMNS="40")
    name = str(tmp_path / "t.json")
    assert all(len(line) <= 40 or name in line for line in ended.stdout.splitlines())
    assert len(ended.stdout.splitlines()) >= 3


@pytest.mark.parametrize(
    ("pid", "why"), [(os.getpid(), "has no fastfeed loader"), (2**31 - 1, "There is no process")]
)
def test_a_process_without_a_loader(pid, why, tmp_path):
    ended = trace(pid, "-o", tmp_path / "t.json")
    assert ended.returncode == 1
    assert why in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["0"], "not the number of a process"),
        (["me"], "not the number of a process"),
        (["1", "--seconds", "-1"], "not a number of seconds from 0 to 3600"),
        (["1", "--seconds", "nan"], "not a number of seconds"),
        (["1", "-o", "t.txt"], "must end with .json"),
        ([], "required: PID"),
    ],
)
def test_wrong_arguments(arguments, why):
    ended = trace(*arguments)
    assert ended.returncode == 2
    assert why in ended.stderr


def test_a_file_that_cannot_be_written_is_found_out_at_once(job, tmp_path):
    ended = trace(job.process.pid, "-o", tmp_path / "nowhere" / "t.json", "--seconds", 50)
    assert ended.returncode == 2
    assert "nowhere/t.json cannot be written: No such file or directory." in ended.stderr
