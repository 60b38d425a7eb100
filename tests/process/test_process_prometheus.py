"""Metrics as Prometheus reads them: asked for over HTTP, and parsed by its client library."""

import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from leftovers import eventually
from process_sources import Batches, once
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fastfeed import Loader
from fastfeed.errors import ArgumentError
from fastfeed.monitor import prometheus


def parsed(text):
    """Return the value of each sample by its name and labels, and the type of each family."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "a family is there twice"
    samples = [sample for family in families for sample in family.samples]
    values = {(each.name, frozenset(each.labels.items())): each.value for each in samples}
    assert len(values) == len(samples), "two samples with the same labels"
    return values, {family.name: family.type for family in families}


def scraped(server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=20) as answer:
        return parsed(answer.read().decode())


class Reading:
    """The samples of one loader."""

    def __init__(self, values, loader="Batches"):
        self.values, self.loader = values, loader

    def __call__(self, name, **labels):
        return self.values[f"fastfeed_{name}", frozenset({"loader": self.loader, **labels}.items())]


def read_here(loader):
    """Read the metrics without a server."""
    return Reading(parsed(generate_latest(prometheus.registry(loader)).decode())[0])


def test_a_scrape_says_what_stats_says():
    with Loader(Batches(60), workers=2) as loader, prometheus.serve(loader, 0) as server:
        for _ in loader:
            time.sleep(0.001)
        values, types = scraped(server)
        stats, totals = loader.stats(), loader._view().totals()
    read = Reading(values)
    assert (read("batches_total"), read("bytes_total")) == (60, stats.bytes)
    causes = {
        "production": stats.production_wait_seconds,
        "order": stats.order_wait_seconds,
        "upload": stats.upload_wait_seconds,
    }
    assert {cause: read("wait_seconds_total", cause=cause) for cause in causes} == causes
    assert read("compute_seconds_total") == stats.step_seconds
    assert read("time_to_first_batch_seconds") == stats.first_batch_seconds
    assert read("data_ready_ratio") == stats.summary.ready_ratio
    assert read("lookahead_limit") == totals.ahead == 10
    assert read("worker_restarts_total") == read("retries_total") == 0
    assert types["fastfeed_batches"] == "counter" and types["fastfeed_workers"] == "gauge"
    assert types["fastfeed_make_seconds"] == "histogram"


def test_workers_are_seen_at_work():
    with Loader(Batches(40, lambda index: time.sleep(0.2)), workers=2) as loader:
        batches = iter(loader)
        next(batches)
        assert eventually(lambda: read_here(loader)("workers", state="busy") == 2)
        read = read_here(loader)
        assert sum(read("workers", state=state) for state in ("busy", "idle", "absent")) == 2
        assert read("ready_batches") + read("inflight_batches") == 10
        assert sum(read("worker_busy_seconds_total", worker=str(each)) for each in (0, 1)) >= 0.2


def test_the_histogram_counts_each_batch_once():
    slow = Batches(30, lambda index: time.sleep(0.03 * (index == 7)))
    with Loader(slow, workers=1) as loader, prometheus.serve(loader, 0) as server:
        for epoch in (1, 2):
            for number, _ in enumerate(loader):
                if number % 10 == 0:
                    before, _ = scraped(server)
            threads = [threading.Thread(target=scraped, args=[server]) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            values, _ = scraped(server)
            read = Reading(values)
            assert (
                read("make_seconds_bucket", le="+Inf") == read("make_seconds_count") == 30 * epoch
            )
            assert read("make_seconds_bucket", le="0.025") <= 29 * epoch
            assert read("make_seconds_sum") >= 0.03 * epoch
            counters = [key for key in before if key[0].endswith(("_total", "_bucket", "_count"))]
            assert all(before[key] <= values[key] for key in counters)


def test_deaths_are_counted(tmp_path):
    def die_once(index):
        if index == 5 and once(tmp_path / "died"):
            os.kill(os.getpid(), signal.SIGKILL)

    with Loader(Batches(12, die_once), workers=1) as loader:
        assert len(list(loader)) == 12
        read = read_here(loader)
    assert (read("worker_restarts_total"), read("retries_total")) == (1, 1)


def test_several_loaders_have_names_and_labels():
    with Loader(Batches(5), workers=1) as train, Loader(Batches(3), workers=0) as valid:
        for _ in (*train, *valid):
            pass
        loaders = {"train": train, "valid": valid}
        with prometheus.serve(loaders, 0, labels={"rank": "3"}) as server:
            values, _ = scraped(server)
    for loader, batches in (("train", 5), ("valid", 3)):
        assert Reading(values, loader)("batches_total", rank="3") == batches
        assert Reading(values, loader)("make_seconds_count", rank="3") == batches


def test_a_loader_that_has_given_nothing_has_no_ratio():
    with Loader(Batches(5), workers=0) as loader:
        read = read_here(loader)
    assert read("batches_total") == 0
    assert not any("ratio" in name or "first_batch" in name for name, _ in read.values)
    assert not any(math.isnan(value) for value in read.values.values())


def test_a_loader_is_not_kept_and_its_metrics_end_with_it():
    loader = Loader(Batches(5), workers=1)
    with prometheus.serve(loader, 0) as server:
        list(loader)
        loader.close()
        assert Reading(scraped(server)[0])("batches_total") == 5  # closed: it stands still
        del loader
        gc.collect()
        values, _ = scraped(server)
        assert values == {}


def test_it_joins_the_metrics_that_a_process_has_already():
    mine = CollectorRegistry()
    with Loader(Batches(3), workers=0) as loader:
        mine.register(prometheus.Metrics(loader))
        list(loader)
        assert mine.get_sample_value("fastfeed_batches_total", {"loader": "Batches"}) == 3


def test_a_file_for_node_exporter(tmp_path):
    path = tmp_path / "fastfeed.prom"
    with Loader(Batches(3), workers=0) as loader:
        for epoch in (1, 2):
            assert len(list(loader)) == 3
            prometheus.write(loader, path)
            assert Reading(parsed(path.read_text())[0])("batches_total") == 3 * epoch
    assert os.listdir(tmp_path) == ["fastfeed.prom"], "something is left behind"


# -- what goes wrong ------------------------------------------------------------------------


@pytest.fixture
def loader():
    with Loader(Batches(5), workers=0) as loader:
        yield loader


def test_a_port_that_is_taken(loader):
    with prometheus.serve(loader, 0) as server:
        with pytest.raises(prometheus.NotExported, match=f"127.0.0.1:{server.port}.*another port"):
            prometheus.serve(loader, server.port)
        server.close()
    prometheus.serve(loader, server.port).close()  # free again
    with pytest.raises(OSError, match="another address"):
        prometheus.serve(loader, 0, address="192.0.2.1")  # of nobody, by RFC 5737


@pytest.mark.parametrize("port", [-1, 65536, "9464", True, None])
def test_ports_that_are_none(loader, port):
    with pytest.raises(ArgumentError, match=r"0 to 65535\. Received: port="):
        prometheus.serve(loader, port)


@pytest.mark.parametrize("label", ["le", "loader", "a-b", "__name__", "", "1st", "größe"])
def test_labels_that_are_not_allowed(loader, label):
    with pytest.raises(ArgumentError, match="Labels have names"):
        prometheus.serve(loader, 0, labels={label: "x"})


def test_what_is_no_loader():
    with pytest.raises(ArgumentError, match=r"must be a Loader.*Received: \[1\]"):
        prometheus.serve([1], 0)


def test_files_that_cannot_be_written(loader, tmp_path):
    with pytest.raises(ArgumentError, match=r"end in \.prom"):
        prometheus.write(loader, tmp_path / "metrics.txt")
    with pytest.raises(prometheus.NotExported, match=r"gone.*cannot be written: No such file"):
        prometheus.write(loader, tmp_path / "gone" / "fastfeed.prom")


def test_without_the_client_library():
    program = (
        "import sys; import fastfeed.monitor.prometheus as p, fastfeed\n"
        "assert 'prometheus_client' not in sys.modules\n"
        "sys.modules['prometheus_client'] = None\n"
        "try: p.serve(fastfeed.Loader([1], workers=0), 0)\n"
        "except ImportError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'fastfeed[prometheus]'" in said.stdout
