"""The names of `fastfeed` itself, which are imported when they are asked for."""

from __future__ import annotations

import inspect

import pytest

import fastfeed


@pytest.mark.parametrize("name", sorted(set(fastfeed.__all__) - {"__version__"}))
def test_each_public_name_is_there(name: str) -> None:
    value = getattr(fastfeed, name)
    assert callable(value) or inspect.ismodule(value)
    assert inspect.getdoc(value)
    assert vars(fastfeed)[name] is value  # the next time it is only looked up


def test_they_are_listed_before_they_are_imported() -> None:
    names = {*fastfeed.HOMES, *fastfeed.PACKAGES}
    assert names <= set(dir(fastfeed))
    assert {*fastfeed.__all__} - {"__version__"} <= names


@pytest.mark.parametrize("name", ["loaders", "fit"])
def test_a_name_that_is_not_there_is_no_attribute(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'fastfeed' has no attribute '{name}'"):
        getattr(fastfeed, name)
