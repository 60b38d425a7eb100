"""What docs/measure.md and docs/prometheus.md show is what there is."""

import re
from typing import get_args

from docs_pages import DOCS, blocks, printed_by
from process_sources import Batches
from prometheus_client import generate_latest

from fastfeed import Loader
from fastfeed.monitor import prometheus, verdict


def shape(line):
    """A line without its numbers and advice, which differ from run to run."""
    return re.sub(r"-?\d+(\.\d+)?", "#", " ".join(line.partition(";")[0].split()))


def test_the_example_of_the_measuring_page_prints_what_the_page_shows(tmp_path):
    (example,), (shown,) = blocks("measure.md"), blocks("measure.md", "text")
    printed = printed_by(example, tmp_path).splitlines()
    assert len(printed) == len(shown.splitlines())
    for line, wanted in zip(printed, shown.splitlines(), strict=True):
        if not wanted.startswith(("input-bound", "time:")):
            assert shape(line) == shape(wanted)
    assert printed[-1].startswith("input-bound") and "workers would do" in printed[-1]


def test_each_kind_of_verdict_and_only_those_are_on_the_page():
    table = (DOCS / "measure.md").read_text().partition("`verdict.kind`")[2].partition("\n\n")[0]
    kinds = re.findall(r"^\| `[^|]*` \| `([\w-]+)` \|", table, re.MULTILINE)
    assert set(kinds) == set(get_args(verdict.Kind))


def test_the_example_of_the_prometheus_page_runs(tmp_path):
    (example,) = blocks("prometheus.md")
    printed_by(example.replace("9464", "0"), tmp_path)
    assert "fastfeed_batches_total" in (tmp_path / "fastfeed.prom").read_text()


def test_each_metric_and_only_those_are_on_the_page():
    rows = re.findall(
        r"^\| (`fastfeed_.*?) \| (\w+) \|", (DOCS / "prometheus.md").read_text(), re.M
    )
    shown = {
        name.removesuffix("_total"): kind
        for names, kind in rows
        for name in re.findall(r"fastfeed_\w+", names)
    }
    with Loader(Batches(3), workers=0) as loader:
        for _ in loader:
            pass
        text = generate_latest(prometheus.registry(loader)).decode()
    real = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    assert shown == {name.removesuffix("_total"): kind for name, kind in real.items()}
