"""Which versions of Python and of the packages that matter are installed. Imports none of them."""

from __future__ import annotations

import platform
import re
from importlib import metadata

from fastfeed.doctor.finding import Finding, Status

OLDEST = {
    "numpy": "1.26",
    "keras": "3.7",
    "tf_keras": "2.16",
    "tensorflow": "2.16",
    "torch": "2",
    "jax": "0.4.31",
    "cupy": "13",
}
"""What fastfeed is made for, as its extras in pyproject.toml have it."""
DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x", "cupy"),
}
"""Where the same package comes under several names."""


def look() -> list[Finding]:
    """Look for each package; a finding of its own for each that is too old or there twice."""
    found = {package: installed(package) for package in OLDEST}
    values: dict[str, str | None] = {
        "python": platform.python_version(),
        "fastfeed": next(iter(installed("fastfeed").values()), None),
    }
    values |= {package: next(iter(here.values()), None) for package, here in found.items()}
    there = [f"{package} {version}" for package, version in values.items() if version]
    missing = [package for package, version in values.items() if not version]
    seen = ", ".join(there) + (f"; without {', '.join(missing)}" if missing else "")
    findings = [Finding("versions", Status.OK, seen, values)]
    for package, here in found.items():
        findings += _complaints(package, here)
    return findings


def installed(package: str) -> dict[str, str]:
    """Return the distributions of a package that are installed, with their versions."""
    here = {}
    for name in DISTRIBUTIONS.get(package, (package,)):
        try:
            here[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return here


def is_older(version: str, oldest: str) -> bool:
    """Compare the numbers at the front of two versions."""
    return _numbers(version) < _numbers(oldest)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _complaints(package: str, here: dict[str, str]) -> list[Finding]:
    findings = []
    if len(here) > 1:
        findings.append(
            Finding(
                package, Status.WARNING, f"installed as {' and '.join(here)}", here,
                "They overwrite each other's files, so which one is imported is chance.",
                f"pip uninstall {' '.join(here)}, then install the one that you want.",
            )
        )  # fmt: skip
    for name, version in here.items():
        if is_older(version, OLDEST[package]):
            findings.append(
                Finding(
                    package, Status.WARNING, f"version {version}", {name: version},
                    f"fastfeed is made for {package} {OLDEST[package]} and newer.",
                    f"pip install --upgrade '{name}>={OLDEST[package]}'",
                )
            )  # fmt: skip
    return findings
