"""What ``handlib bench`` measures: one file per area, each a few functions that return rows."""

import dataclasses
import statistics
import time


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured thing: seconds of ours and of a yardstick in the same run, and the published ratio.

    ``bar`` is the largest ratio that is good enough; None where nothing is asked.
    """

    name: str
    seconds: float
    yardstick: str
    yardstick_seconds: float
    published_ratio: float | None = None
    bar: float | None = None

    @property
    def ratio(self):
        return self.seconds / self.yardstick_seconds

    @property
    def ok(self):
        return self.bar is None or self.ratio <= self.bar


def interleaved(functions, repeats=7, warm_up=2):
    """Median seconds of each function, measured in turns, so that a machine that changes its pace treats all alike."""
    times = [[] for _ in functions]
    for turn in range(warm_up + repeats):
        for function, kept in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn >= warm_up:
                kept.append(time.perf_counter() - start)
    return [statistics.median(kept) for kept in times]
