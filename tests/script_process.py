"""A Python process that runs one script after the other.

Each script is its ``__main__``, in a folder of its own, as for a user who starts it; only what was
imported stays, because TensorFlow alone takes 5 s of CPU to import. Run as a program, this file is
that process.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

LIMIT_S = 110.0


class ScriptProcess:
    """The process, as seen from a test.

    Parameters
    ----------
    environment : str
        Variables on top of this process's.
    """

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def printed_by(self, script: Path) -> str:
        """Run a script in its folder; return what it printed."""
        print(script, file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], LIMIT_S)[0]:
            self._process.kill()
            raise AssertionError(f"{script.name} has not ended within {LIMIT_S:.0f} s")
        answer = self._process.stdout.readline()
        assert answer, f"{script.name} ended its process: {self._process.wait()}"
        done = json.loads(answer)
        assert not done["failed"], done["errors"]
        return str(done["printed"])

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def run(script: Path) -> dict[str, Any]:
    """Run a script; what it and its workers write goes to files."""
    written = [script.with_suffix(suffix) for suffix in (".out", ".err")]
    kept = [os.dup(1), os.dup(2)]
    os.chdir(script.parent)
    sys.argv, sys.path[0] = [str(script)], str(script.parent)
    for descriptor, path in enumerate(written, 1):
        with open(path, "w") as file:
            os.dup2(file.fileno(), descriptor)
    failed = False
    try:
        runpy.run_path(str(script), run_name="__main__")
    except BaseException:  # what would have ended a process of its own
        traceback.print_exc()
        failed = True
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor, copy in enumerate(kept, 1):
        os.dup2(copy, descriptor)
        os.close(copy)
    let_go()
    printed, errors = (path.read_text() for path in written)
    return {"failed": failed, "printed": printed, "errors": errors}


def let_go() -> None:
    """Drop the graphs and the counters of names that Keras keeps."""
    for name in ("keras", "tf_keras"):
        if name in sys.modules:
            sys.modules[name].backend.clear_session()


def serve(orders: TextIO, answers: TextIO) -> None:
    """Run the script that each line of `orders` names."""
    for line in orders:
        print(json.dumps(run(Path(line.rstrip("\n")))), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.stdin, os.fdopen(os.dup(1), "w"))
