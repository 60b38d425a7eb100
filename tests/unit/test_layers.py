"""A file imports only from layers above its own in this list."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT, tracked

LAYERS = [
    "fastfeed.errors",
    "fastfeed.machine fastfeed.packages",
    "fastfeed._core",
    "fastfeed.copying fastfeed.pickling fastfeed.pictures",
    "fastfeed.structure",
    "fastfeed.order",
    "fastfeed.ranks",
    "fastfeed.caching",
    "fastfeed.sources",
    "fastfeed.files fastfeed.imaging",
    "fastfeed.recognise",
    "fastfeed.workers",
    "fastfeed.devices fastfeed.monitor",
    "fastfeed.autotune",
    "fastfeed.passes fastfeed.parts fastfeed.slots fastfeed.schedule",
    "fastfeed.feed",
    "fastfeed.engine",
    "fastfeed.arguments fastfeed.resume",
    "fastfeed.loader",
    "fastfeed.keras",
    "fastfeed.doctor",
    "fastfeed.tuning",
    "fastfeed.benchmark fastfeed.top",
    "fastfeed.cli",
    "fastfeed",
    "fastfeed.__main__",
]
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names.split()}
HEAVY = {
    *("tensorflow", "torch", "jax", "jaxlib", "cupy", "keras", "tf_keras"),
    *("cv2", "PIL", "matplotlib", "pandas", "rich", "psutil", "ml_dtypes", "multiprocessing.pool"),
}


def module_name(path: Path) -> str:
    """``fastfeed.workers.child`` for ``fastfeed/workers/child.py``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """The name under which a module stands in the list: its own or its package's."""
    parts = module.split(".")
    return "fastfeed" if len(parts) == 1 else ".".join(parts[:2])


def imported(path: Path, *, anywhere: bool) -> Iterator[str]:
    """Modules of fastfeed that a file imports, in functions too if `anywhere`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("fastfeed"))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide the layer"
            if node.module and node.module.partition(".")[0] == "fastfeed":
                yield from imported_names(node)


def imported_names(node: ast.ImportFrom) -> Iterator[str]:
    """`from fastfeed.workers import child` imports fastfeed.workers.child."""
    for alias in node.names:
        name = f"{node.module}.{alias.name}"
        path = ROOT / name.replace(".", "/")
        is_module = path.with_suffix(".py").exists() or path.with_suffix(".pyx").exists()
        yield name if is_module or path.is_dir() else str(node.module)


FILES = {module_name(path): path for path in sorted((ROOT / "fastfeed").rglob("*.py"))}


def test_every_module_has_its_layer() -> None:
    assert len(FILES) > 30
    assert {layer(module) for module in FILES} <= RANKS.keys()
    assert RANKS.keys() - {layer(module) for module in FILES} == {"fastfeed._core"}


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_layers_above(module: str) -> None:
    own = layer(module)
    for name in imported(FILES[module], anywhere=True):
        assert layer(name) == own or RANKS[layer(name)] < RANKS[own], f"{module} imports {name}"


def test_no_modules_import_each_other() -> None:
    graph = {module: set(imported(path, anywhere=False)) for module, path in FILES.items()}
    assert sum(map(len, graph.values())) > 60
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_core_imports_only_the_errors() -> None:
    lines = [
        line
        for path in tracked("fastfeed/_core*.px[di]", "fastfeed/_core.pyx")
        for line in path.read_text().splitlines()
        if "import" in line and "fastfeed" in line
    ]
    assert lines == ["from fastfeed.errors import CoreError, device_error"]


def test_the_native_core_knows_no_python() -> None:
    for path in tracked("csrc/*.[ch]"):
        assert "Python.h" not in path.read_text()


@pytest.mark.parametrize(
    ("statement", "has_loader"),
    [("from fastfeed import *", True), ("import fastfeed.workers.child", False)],
)
def test_importing_fastfeed_imports_nothing_heavy(statement: str, has_loader: bool) -> None:
    program = f"import json, sys; {statement}; print(json.dumps(list(sys.modules)))"
    modules = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True))
    assert ("fastfeed.loader" in modules) == has_loader
    assert ("fastfeed.keras" in modules) == has_loader
    assert HEAVY.isdisjoint(modules)
    assert "fastfeed.cli" not in modules
