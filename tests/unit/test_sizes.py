"""Files and functions stay small enough to be read whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from repository import ROOT, tracked

MOST_LINES_OF_A_FILE = 399
MOST_LINES_OF_A_FUNCTION = 60

Function = tuple[str, int]
"""Where it is, and its number of lines without its docstring."""


def python_functions(path: Path) -> Iterator[Function]:
    """Functions of a .py file; documentation is no code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            yield f"{path}:{node.lineno} {node.name}", lines - docstring_lines(node)


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines that the docstring takes."""
    first = node.body[0]
    if ast.get_docstring(node) is None or first.end_lineno is None:
        return 0
    return first.end_lineno - first.lineno + 1


def cython_functions(path: Path) -> Iterator[Function]:
    """Functions of a .pyx or .pxi file: from `def` to the next line that is not indented more."""
    lines = path.read_text().splitlines()
    for start, line in enumerate(lines):
        head = re.match(r"( *)(?:cp?def|def) (?!class).*\(", line)
        if head and not line.rstrip().endswith(","):
            end = start + 1
            while end < len(lines) and (
                not lines[end].strip() or lines[end].startswith(head[1] + " ")
            ):
                end += 1
            yield f"{path}:{start + 1}", end - start


def c_functions(path: Path) -> Iterator[Function]:
    """Functions of a .c or .h file: from a line that ends in `) {` to the next `}` at its start."""
    start = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.match(r"[a-z].*\) \{$|    .*\) \{$", line) and not start and not line[:5].isspace():
            start = number
        elif line == "}" and start:
            yield f"{path}:{start}", number - start + 1
            start = 0


def test_no_file_is_long() -> None:
    files = tracked("*.py", "*.pyi", "*.pyx", "*.pxi", "*.pxd", "*.c", "*.h")
    assert len(files) > 100
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_no_function_is_long() -> None:
    found = [each for path in tracked("*.py") for each in python_functions(path)]
    assert len(found) > 500
    native = [each for path in tracked("*.pyx", "*.pxi") for each in cython_functions(path)]
    native += [each for path in tracked("*.c", "*.h") for each in c_functions(path)]
    assert len(native) > 100
    assert [each for each in found + native if each[1] > MOST_LINES_OF_A_FUNCTION] == []


def test_nothing_points_into_somebodys_home_or_waits_to_be_finished() -> None:
    unwanted = re.compile(r"(?<![\w.*}])/(?:home|root|Users)/|\b(?:TO" + r"DO|FIX" + r"ME)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py", "*.py[ix]", "*.px[di]", "*.[ch]", "*.md", "*.toml", "*.sh")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if unwanted.search(line)
    ]
    assert found == []
