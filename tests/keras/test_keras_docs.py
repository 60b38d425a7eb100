"""The examples of the pages in docs/ run as scripts of the user's."""

import pytest
from docs_pages import blocks

from fastfeed.keras import host


@pytest.fixture
def printed_by(tmp_path, script_process):
    """Return a function that runs a script on a backend and returns what it printed."""

    def printed_by(script, backend="tensorflow"):
        path = tmp_path / "example.py"
        path.write_text(script)
        return script_process(KERAS_BACKEND=backend).printed_by(path)

    return printed_by


def test_keras_page(printed_by):
    examples = blocks("keras.md")
    assert len(examples) == 2
    check = "print(predictions.shape, len(history.history['val_loss']))"
    printed = printed_by("\n".join([*examples, check]))
    assert printed.endswith("(96, 1) 3\n")


def test_resume_page_shows_what_is_printed(printed_by):
    """On torch, which the page imports too."""
    printed = printed_by("\n".join(blocks("resume.md")), "torch")
    for text in blocks("resume.md", "text"):
        assert text.rstrip("\n") in printed
        printed = printed.partition(text.rstrip("\n"))[2]


def test_queue_page_shows_what_is_printed(printed_by):
    (example,) = blocks("queue.md")
    shown = blocks("queue.md", "text")[0]
    assert "\n" + shown in printed_by(example)


README_SCRIPT = """
import keras, numpy as np

class MySequence(keras.utils.Sequence):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.ones((2, 4), "float32"), np.ones((2, 1), "float32")

my_sequence = MySequence()
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
{}
print(len(history.history["data_wait"]))
"""


def test_readme_example(printed_by):
    example = blocks("README.md")[0]
    assert "fit_generator" in example
    assert printed_by(README_SCRIPT.format(example)).endswith("\n10\n")


def after(block):
    """Return what a block of code looks like after a change; one that is no diff stays as it is."""
    if block in blocks("migration.md"):
        return block
    lines = [line for line in block.splitlines() if not line.startswith("-")]
    return "\n".join(line[1:] for line in lines)


@pytest.mark.parametrize("backend", host.BACKENDS)
def test_migration_page(backend, printed_by):
    assert len(blocks("migration.md", "diff")) == 6
    script = "\n".join(after(block) for block in blocks("migration.md", "python|diff"))
    printed = printed_by(script, backend)
    shown = blocks("migration.md", "text")
    assert len(shown) == 5
    for text in shown:  # in this order
        assert text in printed
        printed = printed.partition(text)[2]
