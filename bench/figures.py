"""Figures: the ratios of each round, their median, and the table with their targets."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Figure:
    """A ratio of at least `must`, ideally `aim` (at most, if `at_most`); each round adds a value and its limit."""

    what: str
    unit: str
    must: float
    aim: float
    at_most: bool = False
    rounds: list[tuple[float, float]] = field(default_factory=list)

    def add(self, reached: float, limit: float) -> None:
        """Add the value and the limit of a round."""
        self.rounds.append((reached, limit))

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(reached / limit for reached, limit in self.rounds)

    @property
    def verdict(self) -> str:
        """Whether the ratio reached its aim, its must, or neither."""
        sign = -1 if self.at_most else 1
        if sign * self.ratio >= sign * self.aim:
            return "aim"
        return "must" if sign * self.ratio >= sign * self.must else "SHORT"

    def as_dict(self) -> dict[str, object]:
        """Return the figure for JSON."""
        return {**vars(self), "ratio": self.ratio, "verdict": self.verdict}


def write_table(figures: list[Figure]) -> Iterator[str]:
    """Yield the lines of the table: median and range of the ratios, medians of values and limits."""
    yield f"{'what':<58} {'ratio':>6} {'range':>11} {'reached':>9} {'limit':>9} {'unit':<8} {'must':>5} {'aim':>5}"
    for figure in figures:
        ratios = sorted(reached / limit for reached, limit in figure.rounds)
        reached, limit = (statistics.median(side) for side in zip(*figure.rounds, strict=True))
        yield (
            f"{figure.what:<58} {figure.ratio:>6.2f} {ratios[0]:>5.2f}-{ratios[-1]:.2f} {reached:>9,.4g} {limit:>9,.4g}"
            f" {figure.unit:<8} {figure.must:>5.2f} {figure.aim:>5.2f}  {figure.verdict}"
        )
