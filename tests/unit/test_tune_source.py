"""MODULE:NAME on a command line: what is found, and what is said where nothing is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfeed.cli.source import load_function, load_source
from fastfeed.errors import ArgumentError

MODULE = """
import os, functools

class Numbers(list):
    def __call__(self):
        raise AssertionError("a source was called")

class Batches:
    def __init__(self, count=3):
        self.count = count
    def __len__(self):
        return self.count
    def __getitem__(self, index):
        return [index]

class Sized(Batches):
    def __init__(self, count):
        self.count = count

def stream():
    yield [1]

def shards(shard, num_shards):
    yield [shard]

def iterator():
    return iter([[1], [2]])

def factory():
    return Batches(5)

def needs(size):
    return Batches(size)

def broken():
    raise OSError("no disk")

def leaves():
    raise SystemExit(3)

numbers = Numbers([1, 2])
partial = functools.partial(needs, 7)
nothing = None
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "some_sources.py").write_text(MODULE)
    (tmp_path / "fails.py").write_text("import os\n1 / 0\n")
    (tmp_path / "exits.py").write_text("raise SystemExit('usage: exits FILE')\n")
    (tmp_path / "needs_more.py").write_text("import not_installed_here\n")
    (tmp_path / "json.py").write_text("source = [1]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("place", ["some_sources", "some_sources.py", "./some_sources.py"])
@pytest.mark.parametrize(
    ("name", "length"),
    [("numbers", 2), ("Batches", 3), ("factory", 5), ("partial", 7)],
)
def test_what_makes_a_source_is_called(place: str, name: str, length: int) -> None:
    assert len(load_source(f"{place}:{name}")) == length


@pytest.mark.parametrize("name", ["stream", "shards", "iterator"])
def test_what_a_loader_calls_itself_is_not(name: str) -> None:
    assert load_source(f"some_sources:{name}").__name__ == name


def test_a_file_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert len(load_source("../some_sources.py:factory")) == 5
    assert len(load_source(f"{folder}/some_sources.py:Batches")) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("some_sources", "Write module:name"),
        (":x", "Write module:name"),
        ("some_sources:", "Write module:name"),
        ("", "Write module:name"),
        ("absent:x", "There is no module absent"),
        ("absent.deep:x", "There is no module absent,"),
        ("absent.py:x", "There is no file absent.py"),
        ("fails:x", "Importing fails failed: ZeroDivisionError: division by zero."),
        ("exits:x", "Importing exits ended the program (SystemExit: usage: exits FILE)"),
        ("needs_more:x", "failed: ModuleNotFoundError: No module named 'not_installed_here'"),
        ("json.py:source", "json belongs to another module"),
        ("some_sources:absent", "some_sources has no absent. It defines: Numbers, Batches, Sized"),
        ("some_sources:Sized", "Sized needs arguments. Write a function"),
        ("some_sources:needs", "needs needs arguments"),
        ("some_sources:broken", "broken() failed: OSError: no disk."),
        ("some_sources:leaves", "leaves() failed: SystemExit: 3."),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        load_source(text)
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"Received: {text or repr(text)}") or "Write" in said


def test_a_function_must_be_callable() -> None:
    assert load_function("some_sources:needs").__name__ == "needs"
    with pytest.raises(ArgumentError, match="nothing is no function"):
        load_function("some_sources:nothing")
