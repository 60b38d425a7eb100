"""Scripts as people write them: everything in one file, no guard, TensorFlow at the top."""

from __future__ import annotations

import subprocess
import sys

import pytest
from process_scripts import run

SEQUENCE = """
import os, sys
import numpy as np
from fastfeed import Loader

class Numbers:
    def __init__(self, length):
        self.length = length
    def __len__(self):
        return self.length
    def __getitem__(self, index):
        return np.full(2, index), {answer}

for x, answer in Loader(Numbers(3), workers=2):
    print(x[0], answer)
"""


def test_a_script_needs_no_guard_and_is_not_run_again(tmp_path):
    text = 'print("top")' + SEQUENCE.format(answer="os.getpid() != " + "0")
    assert run(tmp_path, text) == (0, "top\n0 True\n1 True\n2 True\n")


@pytest.mark.parametrize("module", ["tensorflow", "torch", "jax"])
def test_workers_do_not_import_what_the_script_imports(tmp_path, module):
    pytest.importorskip(module)
    text = f"import {module}" + SEQUENCE.format(answer=f'"{module}" in sys.modules')
    status, output = run(tmp_path, text, environment={"TF_CPP_MIN_LOG_LEVEL": "3"})
    assert status == 0
    assert output.splitlines()[-3:] == ["0 False", "1 False", "2 False"]


def test_lambdas_closures_and_globals_of_the_script_travel(tmp_path):
    status, output = run(
        tmp_path,
        """
        import numpy as np
        from fastfeed import Loader

        SCALE = 10

        def scaled(value):
            return value * SCALE

        class Base:
            def __len__(self):
                return 3

        class Numbers(Base):
            def __init__(self, transform):
                self.transform = transform
            def __getitem__(self, index):
                return np.array([self.transform(index), scaled(index)])

        def make(offset):
            return Numbers(lambda value: value + offset)

        def rows(shard, num_shards):
            for number in range(shard, 4, num_shards):
                yield np.array([scaled(number)])

        print([batch.tolist() for batch in Loader(make(5), workers=2)])
        print([batch.tolist() for batch in Loader(rows, workers=2)])
        print([batch.tolist() for batch in Loader(lambda: iter([np.ones(1)]))])
        """,
    )
    expected = "[[5, 0], [6, 10], [7, 20]]\n[[0], [10], [20], [30]]\n[[1.0]]\n"
    assert (status, output) == (0, expected)


def test_classes_of_the_script_come_back_as_themselves(tmp_path):
    status, output = run(
        tmp_path,
        """
        from typing import NamedTuple
        import numpy as np
        from fastfeed import Loader

        class Pair(NamedTuple):
            x: object
            y: object

        class Label:
            pass

        class Broken(Exception):
            pass

        class Pairs:
            def __len__(self):
                return 3
            def __getitem__(self, index):
                if index == 2:
                    raise Broken("two")
                return Pair(np.full(2, index), Label())

        try:
            for pair in Loader(Pairs(), workers=2):
                print(type(pair) is Pair, type(pair.y) is Label)
        except Broken as error:
            print("Broken", error)
        """,
    )
    assert (status, output) == (0, "True True\nTrue True\nBroken two\n")


def test_a_global_of_the_script_that_cannot_be_sent_is_named(tmp_path):
    status, output = run(
        tmp_path,
        """
        import threading
        import numpy as np
        from fastfeed import Loader

        LOCK = threading.Lock()

        def locked(index):
            with LOCK:
                return index

        class Numbers:
            def __len__(self):
                return 3
            def __getitem__(self, index):
                return np.full(2, locked(index))

        Loader(Numbers(), workers=1)
        """,
    )
    assert status == 1
    path = "Numbers.__getitem__ uses the global locked, which uses the global LOCK, which is a "
    assert path + "_thread.lock" in output.splitlines()[-1]


def test_a_module_beside_the_script_is_found(tmp_path):
    (tmp_path / "mine.py").write_text("def twice(x):\n    return 2 * x\n")
    text = "import mine" + SEQUENCE.format(answer="mine.twice(index)")
    assert run(tmp_path, text) == (0, "0 0\n1 2\n2 4\n")


def test_a_path_object_in_the_search_path_does_no_harm(tmp_path):
    text = "import sys, pathlib; sys.path.append(pathlib.Path('lib'))\n"
    assert run(tmp_path, text + SEQUENCE.format(answer="1")) == (0, "0 1\n1 1\n2 1\n")


def test_a_script_that_ignores_the_end_of_children(tmp_path):
    text = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    once_more = "\nfor x, answer in Loader(Numbers(1), workers=2):\n    print(x[0], answer)\n"
    given = run(tmp_path, text + SEQUENCE.format(answer="1") + once_more)
    assert given == (0, "0 1\n1 1\n2 1\n0 1\n")


def test_a_folder_that_the_script_adds_to_its_path_is_searched_by_workers(tmp_path):
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "mine.py").write_text("def twice(x):\n    return 2 * x\n")
    start = (
        "from fastfeed import Loader\nlist(Loader([1], workers=1))\n"  # the fork server is older
    )
    text = start + 'import sys; sys.path.append("lib")\nimport mine'
    assert run(tmp_path, text + SEQUENCE.format(answer="mine.twice(index)")) == (
        0,
        "0 0\n1 2\n2 4\n",
    )


def test_workers_see_the_folder_the_arguments_and_the_environment_of_the_script(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/file").write_text("found")
    answer = '(open("file").read(), sys.argv[1:2], os.environ["SET_LATE"], len(sys.argv))'
    start = "from fastfeed import Loader\nlist(Loader([1], workers=1))\n"
    start += 'import os; os.chdir("inner"); os.environ["SET_LATE"] = "yes"'
    many = tuple(f"folder/image-{i:05}.jpg" for i in range(20_000))  # more than a packet takes
    status, output = run(tmp_path, start + SEQUENCE.format(answer=answer), arguments=many)
    line = "('found', ['folder/image-00000.jpg'], 'yes', 20001)"
    assert (status, output) == (0, f"0 {line}\n1 {line}\n2 {line}\n")


def test_a_script_on_standard_input_and_one_on_the_command_line(tmp_path):
    text = SEQUENCE.format(answer="sys.argv[0]")
    for arguments, given in ((["-"], text), (["-c", text], "")):
        done = subprocess.run(
            [sys.executable, *arguments], input=given, capture_output=True, text=True, cwd=tmp_path
        )
        name = arguments[0]
        assert (done.stdout, done.stderr) == (f"0 {name}\n1 {name}\n2 {name}\n", "")


def test_standard_input_belongs_to_the_script(tmp_path):
    text = """
import sys
from fastfeed import Loader
print([x for x in Loader([1, 2], workers=1)], sys.stdin.read())
class Asks:
    def __len__(self):
        return 1
    def __getitem__(self, index):
        return input()
try:
    list(Loader(Asks(), workers=1))
except EOFError as error:
    print("EOFError")
"""
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"], input="typed", capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == ("[1, 2] typed\nEOFError\n", "")


def test_what_a_source_prints_appears(tmp_path):
    text = """
    from fastfeed import Loader
    from process_sources import Batches
    import sys

    def talk(index):
        print("item", index)
        print("warning", index, file=sys.stderr)

    for _ in Loader(Batches(3, talk), workers=1):
        pass
    """
    for unbuffered in ("", "1"):
        status, output = run(tmp_path, text, environment={"PYTHONUNBUFFERED": unbuffered})
        assert status == 0
        assert set(output.splitlines()) == {
            f"{what} {index}" for what in ("item", "warning") for index in range(3)
        }


def test_a_source_may_use_multiprocessing_and_programs_of_its_own(tmp_path):
    (tmp_path / "mine.py").write_text("def double(x):\n    return 2 * x\n")
    status, output = run(
        tmp_path,
        """
        import concurrent.futures, multiprocessing, subprocess
        import numpy as np
        from fastfeed import Loader
        from mine import double

        class Items:
            pool = None
            def __len__(self):
                return 4
            def __getitem__(self, index):
                if self.pool is None:
                    self.pool = multiprocessing.get_context("fork").Pool(2)
                    self.executor = concurrent.futures.ProcessPoolExecutor(
                        1, multiprocessing.get_context("fork")
                    )
                echoed = subprocess.run(["echo", str(index)], capture_output=True).stdout
                doubled = self.executor.submit(double, index).result()
                return np.array([*self.pool.map(double, [index, 10]), doubled, int(echoed)])

        with Loader(Items(), workers=2) as loader:
            for batch in loader:
                print(batch.tolist())
        """,
    )
    expected = [f"[{2 * i}, 20, {2 * i}, {i}]" for i in range(4)]
    assert (status, output.splitlines()) == (0, expected)
