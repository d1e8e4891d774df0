"""Where measured losses and the program ``theory`` are, and how Ctrl-C is handled."""

import json
import os
import pathlib
import signal
import subprocess

import pytest


@pytest.fixture(scope="session")
def digits():
    """Measured losses of this repository."""
    for folder in pathlib.Path(__file__).resolve().parents:
        path = folder / "data" / "results" / "digits" / "losses.csv"
        if path.exists():
            return path
    pytest.skip("no data beside the tests")


@pytest.fixture(scope="session")
def theory():
    """The program ``theory``, as a function from arguments to what its JSON says."""
    program = os.environ.get("THEORY")
    if not program:
        pytest.skip("THEORY does not name the program")

    def run(*arguments):
        command = [program, *map(str, arguments), "--quiet", "--format", "json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return run


@pytest.fixture
def control_c():
    """The handler of an interactive Python, also where the tests run in the background, which ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
