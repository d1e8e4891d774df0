"""How work runs: Ctrl-C, panics, the exceptions."""

import signal
import threading
import time

import pytest

import negatives
from negatives import _negatives


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
