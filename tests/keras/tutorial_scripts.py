"""Runs the scripts in tutorials/, which are written as those of 2016 to 2019 were: only imports
differ.
"""

import re
from pathlib import Path

from script_process import ScriptProcess

FOLDER = Path(__file__).parent / "tutorials"

EXPECTED = {
    "list_of_files": [
        "['data_wait', 'loss', 'val_loss'] 3",
        "steps 4 True",
        "score True",
    ],
    "two_inputs": [
        "epochs 3 batches 18",
        "evaluated True",
        "predicted {'large': (24, 1), 'total': (24, 1)}",
    ],
    "image_data_generator": [
        "flow 7 ['accuracy', 'data_wait', 'loss', 'val_accuracy', 'val_loss']",
        "Found 24 images belonging to 2 classes.",
        "Found 12 images belonging to 2 classes.",
        "directory 6 2",
        "Found 12 images belonging to 2 classes.",
        "predicted (12, 2) 12",
    ],
    "sequence_of_a_dataframe": [
        "steps 5 epochs 3",
        "predicted (12, 3)",
        "in order True",
    ],
}
"""What each prints."""


def printed_by(name: str, folder: Path, host: str, process: ScriptProcess) -> list[str]:
    """Run a script in a folder of its own, as a user would, and return its lines.

    `host` is a backend of Keras 3, or ``"tf_keras"``.
    """
    text = (FOLDER / f"{name}.py").read_text()
    if host == "tf_keras":
        text = re.sub(r"^from (tensorflow\.)?keras\b", "from tf_keras", text, flags=re.M)
        text = re.sub(r"^import keras$", "import tf_keras as keras", text, flags=re.M)
    script = folder / f"{name}.py"
    script.write_text(text)
    return [line for line in process.printed_by(script).splitlines() if line]
