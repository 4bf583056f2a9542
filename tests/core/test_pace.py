"""Late positions are called catching up only where they become less late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.store.reading.sight import GAIN_S, WHILE_S, Pace


@given(st.floats(20, 3600), st.integers(1, 25), st.integers(10, 400))
def test_a_constant_delay_does_not_catch_up(delay_s: float, every_s: int, looks: int) -> None:
    """Positions that come every so often, always as late, never catch up."""
    pace = Pace()
    for second in range(looks):
        assert not pace.gains(delay_s + second % every_s, float(second))


@given(st.floats(20, 3600), st.floats(1.2, 50), st.integers(1, 5))
def test_what_is_read_faster_than_it_happens_catches_up(late_s: float, speed: float, every_s: int) -> None:
    """A backlog read at some multiple of its own pace is told as catching up after a while."""
    pace, told = Pace(), False
    for look in range(int(4 * WHILE_S / every_s)):
        now = look * every_s
        age = late_s - now * (speed - 1)
        if age <= 0:
            return
        told = pace.gains(age, float(now))
        if now > WHILE_S + GAIN_S / (speed - 1) + every_s:
            assert told
    assert told


@given(st.floats(20, 3600), st.floats(0, 0.9))
def test_what_falls_behind_is_not_catching_up(late_s: float, speed: float) -> None:
    """Where less is counted than comes, positions are late."""
    pace = Pace()
    assert not any(pace.gains(late_s + now * (1 - speed), float(now)) for now in range(200))
