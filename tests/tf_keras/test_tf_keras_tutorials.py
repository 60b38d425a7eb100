"""Old tutorials run on tf_keras with nothing changed but imports."""

import pytest
from tutorial_scripts import EXPECTED, printed_by

pytestmark = pytest.mark.timeout(300)  # each trains several models and starts several workers


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_tutorial_runs(name, tmp_path, script_process):
    process = script_process(KERAS_BACKEND="tensorflow")
    assert printed_by(name, tmp_path, "tf_keras", process) == EXPECTED[name]
