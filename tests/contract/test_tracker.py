"""What a tracker promises: recording is cheap, blocks on nothing and imports no MLflow."""

import subprocess
import sys
import time

from searchr2.ports import Tracker
from searchr2.tracking.record import Record


def test_a_record_is_a_tracker_and_cheap(tmp_path):
    with Record.open(tmp_path, name="n", stage="s", tags={}, config={}) as record:
        tracker: Tracker = record
        start = time.process_time()
        for step in range(200):
            tracker.log({f"metric/{i}": i / 3 + step for i in range(40)}, step)
        assert (time.process_time() - start) / 200 < 0.005


def test_writing_a_record_imports_neither_mlflow_nor_torch():
    check = "import sys, searchr2.tracking.record; print(*({'mlflow', 'torch'} & set(sys.modules)))"
    command = [sys.executable, "-c", check]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == []
