"""The examples of the pages in docs/ run as scripts of the user's."""

import pytest
from docs_pages import blocks, printed_by

from fastfeed.keras import host

ON_TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}


def test_keras_page(tmp_path):
    examples = blocks("keras.md")
    assert len(examples) == 2
    check = "print(predictions.shape, len(history.history['val_loss']))"
    printed = printed_by("\n".join([*examples, check]), tmp_path, **ON_TENSORFLOW)
    assert printed.endswith("(96, 1) 3\n")


def test_queue_page_shows_what_is_printed(tmp_path):
    (example,) = blocks("queue.md")
    shown = blocks("queue.md", "text")[0]
    assert "\n" + shown in printed_by(example, tmp_path, **ON_TENSORFLOW)


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


def test_readme_example(tmp_path):
    example = blocks("README.md")[0]
    assert "fit_generator" in example
    assert printed_by(README_SCRIPT.format(example), tmp_path, **ON_TENSORFLOW).endswith("\n10\n")


def after(block):
    """Return what a block of code looks like after a change; one that is no diff stays as it is."""
    if block in blocks("migration.md"):
        return block
    lines = [line for line in block.splitlines() if not line.startswith("-")]
    return "\n".join(line[1:] for line in lines)


@pytest.mark.parametrize("backend", host.BACKENDS)
def test_migration_page(backend, tmp_path):
    assert len(blocks("migration.md", "diff")) == 6
    script = "\n".join(after(block) for block in blocks("migration.md", "python|diff"))
    printed = printed_by(script, tmp_path, KERAS_BACKEND=backend)
    shown = blocks("migration.md", "text")
    assert len(shown) == 5
    for text in shown:  # in this order
        assert text in printed
        printed = printed.partition(text)[2]
