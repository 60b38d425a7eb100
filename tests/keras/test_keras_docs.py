"""The examples of docs/keras.md run as a script of the user's."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "keras.md"


def test_examples_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    check = "print(predictions.shape, len(history.history['val_loss']))"
    script = tmp_path / "rings.py"
    script.write_text("\n".join([*blocks, check]))
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(96, 1) 3\n")
