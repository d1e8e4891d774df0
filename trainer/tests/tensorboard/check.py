"""Compares a run's event file, as the `tensorboard` package reads it, with the run's metrics.jsonl.

    pip install tensorboard==2.21.0
    cargo run -p trainer --example write_metrics DIR
    python3 trainer/tests/tensorboard/check.py DIR

Every tag, step and value (rounded to single precision) must agree, and every checksum of the file is verified.
"""

import json
import math
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def single(value):
    """A value of the record as single precision stores it."""
    value = float(value)
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def main(folder):
    expected = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        step = record.pop("step")
        record.pop("epoch")
        for tag, value in record.items():
            expected.setdefault(tag, []).append((step, single(value)))
    files = list(folder.glob("events.out.tfevents.*"))
    assert len(files) == 1, files
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    assert accumulator.file_version == 2.0, accumulator.file_version
    assert sorted(accumulator.Tags()["scalars"]) == sorted(expected)
    for tag, rows in expected.items():
        scalars = accumulator.Scalars(tag)
        found = [(scalar.step, scalar.value) for scalar in scalars]
        assert len(found) == len(rows), (tag, len(found), len(rows))
        for (step, value), (wanted_step, wanted) in zip(found, rows):
            same = value == wanted or (math.isnan(value) and math.isnan(wanted))
            assert step == wanted_step and same, (tag, step, value, wanted_step, wanted)
        times = [scalar.wall_time for scalar in scalars]
        assert times == sorted(times), tag
        print(f"{tag}: {len(found)} values at steps {found[0][0]} to {found[-1][0]} agree, last {found[-1][1]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
