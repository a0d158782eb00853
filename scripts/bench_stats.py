# SPDX-License-Identifier: GPL-2.0-or-later
"""The statistics of the benchmark: medians with their spread, and a
confidence interval that assumes nothing about the noise."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

RESAMPLES = 2000
# Resampling is random, but the same figures must give the same interval.
SEED = 1


@dataclass(frozen=True)
class Figure:
    """Some values of one quantity in short."""
    n: int
    median: float
    low: float          # smallest value
    high: float         # largest value
    quarter: float      # the middle half of the values is between
    three_quarters: float
    ci_low: float       # 95 % confidence interval of the median
    ci_high: float

    def as_dict(self) -> dict[str, float]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def figure(values: Sequence[float]) -> Figure:
    """Summarise at least one value."""
    ordered = sorted(values)
    rank = (len(ordered) - 1) / 4
    return Figure(len(ordered), statistics.median(ordered), ordered[0],
                  ordered[-1], ordered[round(rank)],
                  ordered[round(3 * rank)], *interval(ordered))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Bootstrap interval of the median, 95 %."""
    generator = random.Random(SEED)
    medians = sorted(
        statistics.median(generator.choices(values, k=len(values)))
        for _ in range(RESAMPLES))
    return (medians[int(RESAMPLES * 0.025)],
            medians[int(RESAMPLES * 0.975) - 1])


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Ratios of what was measured side by side, pair by pair."""
    return [a / b for a, b in zip(over, under, strict=True)]
