"""What the frameworks' own profilers see of ``next()``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from repository import ROOT
from trace_rules import read

import fastfeed
from fastfeed.monitor.profilers import NAME, TORCH_NAME, present

torch = pytest.importorskip("torch")


class Items:
    def __len__(self):
        return 5

    def __getitem__(self, index):
        time.sleep(0.005)
        return np.full(4, index)


def loop(loader):
    return [int(batch[0]) for batch in loader]


def torch_profile():
    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])


def durations(profile, path):
    """Return begin and end, in ns since 1970, of each range of ours in a profile of PyTorch."""
    profile.export_chrome_trace(str(path))
    trace = json.loads(path.read_text())
    ours = [event for event in trace["traceEvents"] if event.get("name") == TORCH_NAME]
    base = trace["baseTimeNanoseconds"]
    begins = [base + int(event["ts"] * 1000) for event in ours]
    return [(at, at + int(event["dur"] * 1000)) for at, event in zip(begins, ours, strict=True)]


def test_pytorchs_profiler_sees_each_next_as_loading_of_data(tmp_path):
    with fastfeed.Loader(Items(), workers=0) as loader:
        with torch_profile() as profile:
            assert loop(loader) == [0, 1, 2, 3, 4]
        assert loop(loader) == [0, 1, 2, 3, 4]
    found = durations(profile, tmp_path / "torch.json")
    assert len(found) == 6, "five batches and the end, of the profiled loop only"
    assert sum(end - begin >= 5_000_000 for begin, end in found) == 5, "with the making in them"


def test_the_name_is_one_that_its_plugin_for_tensorboard_takes_for_loading():
    """By the rule in its event parser: what begins and ends like this."""
    assert TORCH_NAME.startswith("enumerate(DataLoader)#") and TORCH_NAME.endswith(".__next__")


def test_a_profiler_that_starts_in_the_middle_of_a_loop_sees_the_rest(tmp_path):
    with fastfeed.Loader(Items(), workers=0) as loader:
        batches = iter(loader)
        next(batches)
        with torch_profile() as profile:
            next(batches)
        next(batches)
    assert len(durations(profile, tmp_path / "torch.json")) == 1


def test_tensorflows_profiler_sees_it(tmp_path):
    tf = pytest.importorskip("tensorflow")
    with fastfeed.Loader(Items(), workers=0) as loader:
        tf.profiler.experimental.start(str(tmp_path))
        try:
            loop(loader)
        finally:
            tf.profiler.experimental.stop()
    (profile,) = tmp_path.rglob("*.xplane.pb")
    assert NAME.encode() in profile.read_bytes()


def test_without_a_framework_nobody_is_asked():
    program = (
        "import sys, fastfeed; from fastfeed.monitor.profilers import present\n"
        "with fastfeed.Loader([1, 2], workers=0) as loader: assert len(list(loader)) == 2\n"
        "assert present() is None and not {'torch', 'tensorflow', 'nvtx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={})


def test_a_framework_that_is_being_imported_is_left_alone(monkeypatch):
    half = type(sys)("torch.autograd.profiler")
    monkeypatch.setitem(sys.modules, "torch.autograd.profiler", half)
    monkeypatch.delitem(sys.modules, "tensorflow.python.profiler.trace", raising=False)
    assert present() is None


def test_the_page_about_traces_merges_one_with_pytorchs(tmp_path, monkeypatch):
    """Both then have one time: each wait lies within the range of its ``next()``."""
    monkeypatch.chdir(tmp_path)
    with fastfeed.Loader(Items(), workers=0) as loader:
        with torch_profile() as profile:
            loop(loader)
        loader.trace("t.json")
    found = durations(profile, Path("torch.json"))
    page = (ROOT / "docs/trace.md").read_text()
    (merging,) = (
        code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "merged" in code
    )
    exec(merging, {})
    merged = json.loads(Path("merged.json").read_text())
    assert TORCH_NAME in {event.get("name") for event in merged["traceEvents"]}
    ours = [event for event in merged["traceEvents"] if event.get("cat") == "fastfeed"]
    waits = [event for event in ours if event["name"].startswith("wait")]
    assert len(waits) == 5
    for wait in waits:
        begin = merged["baseTimeNanoseconds"] + wait["ts"] * 1000
        end = begin + wait["dur"] * 1000
        assert any(one <= begin + 1e6 and end <= other + 1e6 for one, other in found)
    merged["traceEvents"] = [
        event for event in merged["traceEvents"] if event["pid"] in {one["pid"] for one in ours}
    ]
    Path("ours.json").write_text(
        json.dumps(
            {key: merged[key] for key in ("displayTimeUnit", "traceEvents")} | {"otherData": {}}
        )
    )
    assert len(read("ours.json").named("make")) == 5, "still by the rules"
