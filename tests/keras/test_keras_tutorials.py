"""Old tutorials run on Keras 3 with nothing changed but imports."""

import pytest
from tutorial_scripts import EXPECTED, printed_by

from fastfeed.keras import host

pytestmark = pytest.mark.timeout(300)  # each trains several models and starts several workers


@pytest.mark.parametrize("backend", host.BACKENDS)
@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_tutorial_runs(name, backend, tmp_path, script_process):
    process = script_process(KERAS_BACKEND=backend)
    assert printed_by(name, tmp_path, backend, process) == EXPECTED[name]
