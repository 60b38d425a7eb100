"""What the doctor says about packages, found as pip leaves them: real .dist-info folders."""

from __future__ import annotations

import importlib
import platform
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from repository import ROOT

from fastfeed.doctor import Status, versions
from fastfeed.doctor.versions import OLDEST, installed, is_older


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages, the only one."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    return tmp_path


def install(site: Path, name: str, version: str) -> None:
    """Leave what pip leaves."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_the_real_versions_are_found() -> None:
    found = versions.look()[0]
    assert found.values["python"] == platform.python_version()
    assert found.values["numpy"] == metadata.version("numpy")
    assert found.values["fastfeed"] == metadata.version("fastfeed")


def test_packages_that_are_missing_are_named(site: Path) -> None:
    install(site, "numpy", "2.1.0")
    (found,) = versions.look()
    assert found.status is Status.OK
    assert found.values["numpy"] == "2.1.0"
    assert found.values["torch"] is None
    assert "torch" in found.seen.partition("; without ")[2].split(", ")


@pytest.mark.parametrize(
    ("name", "version", "complains"),
    [
        ("keras", "2.15.0", True),
        ("keras", "3.7", False),
        ("jax", "0.4.30", True),
        ("jax", "0.4.31.dev7", False),
        ("torch", "1.13.1+cu117", True),
        ("torch", "2.13.0+cpu", False),
        ("tensorflow-cpu", "2.15.1", True),
        ("cupy-cuda12x", "12.3.0", True),
    ],
)
def test_a_package_that_is_too_old(site: Path, name: str, version: str, complains: bool) -> None:
    install(site, name, version)
    _, *complaints = versions.look()
    assert len(complaints) == complains
    for complaint in complaints:
        assert complaint.status is Status.WARNING
        assert (complaint.seen, complaint.values) == (f"version {version}", {name: version})
        assert f"{name}>=" in complaint.cure


def test_a_package_that_is_there_twice(site: Path) -> None:
    install(site, "cupy-cuda12x", "13.6.0")
    install(site, "cupy-cuda13x", "13.6.0")
    _, complaint = versions.look()
    assert complaint.status is Status.WARNING
    assert complaint.cure.startswith("pip uninstall cupy-cuda13x cupy-cuda12x")


def test_the_oldest_versions_are_those_of_the_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["tf_keras"], *extras["torch"], *extras["jax"]]
    asked += [*extras["keras"], *(text.replace("-cuda12x", "") for text in extras["cuda12"])]
    pairs = dict(text.split(">=") for text in asked)
    assert {name: pairs[name] for name in OLDEST} == OLDEST


def test_versions_are_compared_by_number() -> None:
    assert is_older("2.9", "2.16")
    assert not is_older("2.16.0rc1", "2.16")
    assert not is_older("10", "9.9")


def test_nothing_is_installed_under_an_unknown_name() -> None:
    assert installed("fastfeed-of-another-world") == {}
