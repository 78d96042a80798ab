"""Probes: what slows a machine down for a while is not taken for the price of a call."""

import time

from sparse_coding.forecast.probing import probe


def test_the_least_of_rounds_passes_over_what_is_slow_for_a_while():
    """The first probe falls whole into a slow while, which is over in the next round."""
    begun: list[float] = []

    def call(seconds: float) -> None:
        now = time.thread_time()
        begun.append(now)
        until = now + seconds * (5 if now - begun[0] < 2 * probe.LEAST / probe.ROUNDS else 1)
        while time.thread_time() < until:
            pass

    once, twice = probe.least_of(lambda: call(0.004), lambda: call(0.008))
    assert 0.004 <= once < 0.008
    assert 0.008 <= twice < 0.016
