"""Ctrl-C in a training script, and what is left of it."""

import signal
import subprocess
import sys
import time
from pathlib import Path


def descendants(pid):
    """Children of a process, their children and so on."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for text in lists for child in text.read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def check_control_c(text, folder, line, has_workers):
    """Run a script until it prints `line`, interrupt it, and assert that all its processes end."""
    script = folder / "slow.py"
    script.write_text(text)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for printed in process.stdout:
        if printed == line:
            break
    made = descendants(process.pid)
    assert bool(made) == has_workers
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    while any(Path(f"/proc/{pid}").exists() for pid in made):  # the watchdog ends the test
        time.sleep(0.01)
