"""How work runs: Ctrl-C, panics, the exceptions."""

import multiprocessing
import signal
import threading
import time

import pytest

import negatives
from negatives import _negatives


@pytest.mark.usefixtures("control_c")
@pytest.mark.parametrize("deaf", [False, True])
def test_control_c_is_heard_within_a_second(deaf):
    main = threading.main_thread().ident
    threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        _negatives._wait(20.0, deaf)
    assert 0.15 < time.perf_counter() - start < 1.2


def test_the_lock_is_released():
    """A second thread runs while the first computes."""
    other = threading.Thread(target=_negatives._wait, args=(0.5, False))
    start = time.perf_counter()
    other.start()
    _negatives._wait(0.5, False)
    other.join()
    assert time.perf_counter() - start < 0.9


@pytest.mark.parametrize("kind", ["short", "long", "owned"])
def test_no_panic_crosses(kind):
    with pytest.raises(negatives.InternalError, match=kind) as raised:
        _negatives._panic(kind)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, negatives.NegativesError)


def test_exceptions_are_value_errors():
    for name in negatives.errors.__all__:
        assert issubclass(getattr(negatives, name), ValueError)
    assert issubclass(negatives.FileError, OSError)
    error = negatives.DataError("text", "file", 3, "column")
    assert (str(error), error.file, error.line, error.column) == ("text", "file", 3, "column")


@pytest.mark.usefixtures("control_c")
def test_a_long_simulation_is_interrupted():
    main = threading.main_thread().ident
    threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        negatives.simulate(7709, 1000, num_samples=2_000_000, threads=1)
    assert time.perf_counter() - start < 1.3


def simulated(samples):
    return negatives.simulate(50, 20, num_samples=samples, collisions=True).rows()


def test_a_forked_process_computes():
    """The threads of the parent are not those of the child."""
    here = simulated(5000)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(simulated, (5000,)).get(timeout=60) == here
