"""Signals as requests: the first is noted, a second one acts, and what a shell has switched off stays off."""

import signal

import pytest

from training.interrupt import Interrupt


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def heard(request):
    """The number of a signal, and how often what was set for it before was called."""
    calls = []
    before = signal.signal(request.param, lambda number, frame: calls.append(number))
    yield request.param, calls
    signal.signal(request.param, before)


def test_the_first_signal_is_noted_and_a_second_one_acts(heard):
    number, calls = heard
    with Interrupt() as interrupt:
        assert not interrupt.asked
        signal.raise_signal(number)
        assert interrupt.asked and not calls
        signal.raise_signal(number)
        assert calls == [number]
    signal.raise_signal(number)
    assert calls == [number] * 2


def test_a_signal_that_is_switched_off_stays_off(heard):
    number, calls = heard
    signal.signal(number, signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(number)
        assert not interrupt.asked and not calls and signal.getsignal(number) is signal.SIG_IGN
    assert signal.getsignal(number) is signal.SIG_IGN
