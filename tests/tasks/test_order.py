"""Data order: every row once an epoch, a function of the step alone."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.order import DataOrder


@given(rows=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_epoch_takes_every_row_once(rows: int, batch: int, seed: int) -> None:
    order = DataOrder(rows, batch, seed)
    stream = [index for step in range(3 * rows // batch + 1) for index in order.step(step)]
    for start in range(0, len(stream) - rows + 1, rows):
        assert sorted(stream[start : start + rows]) == list(range(rows))


@given(rows=st.integers(1, 40), batch=st.integers(1, 50), step=st.integers(0, 30))
def test_a_step_does_not_depend_on_the_steps_before(rows: int, batch: int, step: int) -> None:
    through = DataOrder(rows, batch, 0)
    for earlier in range(step):
        through.step(earlier)
    assert through.step(step) == DataOrder(rows, batch, 0).step(step)


def test_epochs_and_seeds_differ() -> None:
    first, second = DataOrder(100, 100, 0), DataOrder(100, 100, 1)
    assert first.step(0) != first.step(1)
    assert first.step(0) != second.step(0)
