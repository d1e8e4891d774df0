"""Runs exported networks in onnxruntime and compares them with what `trainer` computes.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    cargo run -p trainer --example write_onnx DIR
    python3 trainer/tests/onnx/check.py DIR

Every DIR/NAME.onnx must pass ONNX's own checks, and give the `features` and `projection` of DIR/NAME.npz for its
`images`, whole and one by one, within 1e-5 of the largest.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-5


def main(folder):
    files = sorted(folder.glob("*.onnx"))
    assert files, f"{folder} holds no .onnx file"
    for file in files:
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        golden = np.load(file.with_suffix(".npz"))
        images = golden["images"]
        assert [entry.name for entry in session.get_inputs()] == ["images"]
        assert [entry.name for entry in session.get_outputs()] == ["features", "projection"]
        single = [session.run(None, {"images": image[None]}) for image in images]
        single = [np.concatenate(rows) for rows in zip(*single)]
        line = f"{file.name}: {len(model.graph.node)} nodes"
        for name, whole, one_by_one in zip(["features", "projection"], session.run(None, {"images": images}), single):
            expected = golden[name]
            assert whole.shape == one_by_one.shape == expected.shape, (whole.shape, expected.shape)
            assert np.isfinite(expected).all() and expected.std() > 0
            largest = np.abs(expected).max()
            off = max(np.abs(found - expected).max() for found in (whole, one_by_one))
            line += f", {name} {expected.shape[1]}: largest {largest:.3f}, largest difference {off:.1e}"
            assert off <= TOLERANCE * largest, line
        print(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
