"""The examples of the pages in docs/ run as scripts of the user's."""

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page, language="python"):
    """Return the fenced blocks of a page in one language."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def printed_by(script, folder):
    """Run a script in a process of its own; return what it printed."""
    path = folder / "example.py"
    path.write_text(script)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keras_page(tmp_path):
    examples = blocks("keras.md")
    assert len(examples) == 2
    check = "print(predictions.shape, len(history.history['val_loss']))"
    assert printed_by("\n".join([*examples, check]), tmp_path).endswith("(96, 1) 3\n")


def test_queue_page_shows_what_is_printed(tmp_path):
    (example,) = blocks("queue.md")
    shown = blocks("queue.md", "text")[0]
    assert printed_by(example, tmp_path).endswith("\n" + shown)
