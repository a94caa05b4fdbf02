"""In which order the work of a study is done: plans say what can be trained next."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from brevitas_models.errors import UserError
from brevitas_models.pruning import RULES, Luts
from brevitas_models.study import bayes
from brevitas_models.study.config import Bayes, Study
from brevitas_models.study.data import StudyData
from brevitas_models.study.points import Point, bayes_point
from brevitas_models.study.store import Store
from brevitas_models.train import rounds
from brevitas_models.train.stacked.compiling import check_compiler

# Sizes tried in a search and what they gave.
History = list[tuple[tuple[int, ...], float | None]]


@dataclass(frozen=True)
class Step:
    """Some points, of which one round is to be trained side by side."""

    points: tuple[Point, ...]
    round: int


@dataclass
class Progress:
    """What the plans look at."""

    store: Store
    frames: StudyData
    attempts: int
    luts: Luts = RULES
    # How often each point has failed in this run
    failed: dict[str, int] = field(default_factory=dict)
    # Layer sizes that searches were given so far
    suggested: dict[Hashable, tuple[int, ...]] = field(default_factory=dict)

    def suggest(self, settings: Bayes, bits: int, history: History) -> tuple[int, ...]:
        """Return the sizes that a search tries next: asked for once, as it takes seconds."""
        name = (bits, tuple(history))
        if name not in self.suggested:
            self.suggested[name] = bayes.suggest(settings, history)
        return self.suggested[name]

    def key(self, point: Point) -> str:
        """Return the name of a point."""
        return self.frames.key(point)

    def done(self, point: Point) -> int:
        """Return how many rounds of a point are finished."""
        return len(self.store.rounds(self.key(point)))

    def over(self, point: Point) -> bool:
        """Return whether nothing more is to be tried."""
        full = self.done(point) >= len(rounds.plan(point.recipe))
        return full or self.failed.get(self.key(point), 0) >= self.attempts


class Plan(Protocol):
    """A part of a study whose steps follow each other."""

    def points(self, progress: Progress) -> list[Point]:
        """Return all points known by now, in order."""
        ...

    def steps(self, progress: Progress) -> list[Step]:
        """Return what can be trained now; nothing if the plan is finished."""
        ...


@dataclass(frozen=True)
class Side:
    """Points that are trained side by side, round by round."""

    members: tuple[Point, ...]

    def points(self, progress: Progress) -> list[Point]:
        """Return the members."""
        return list(self.members)

    def steps(self, progress: Progress) -> list[Step]:
        """Return the next round of all members, or of each that failed before, alone.

        All take part in a round that one of them lacks, also those that have it: the others then
        are trained in the company they always had, and come out the same to the last bit.
        """
        sound = [p for p in self.members if progress.key(p) not in progress.failed]
        lacking = [progress.done(p) for p in sound if not progress.over(p)]
        if lacking:
            return [Step(tuple(sound), min(lacking))]
        alone = [p for p in self.members if not progress.over(p)]
        return [Step((p,), progress.done(p)) for p in alone]


@dataclass(frozen=True)
class Search:
    """Bayesian optimisation of the layer sizes for one width."""

    study: Study
    bits: int

    def _trials(self, progress: Progress) -> list[tuple[Point, float | None]]:
        """Return the trials begun: finished ones with their loss (None: failed), then the next."""
        settings = self.study.bayes
        assert settings is not None
        history: History = []
        found: list[tuple[Point, float | None]] = []
        for trial in range(settings.trials):
            sizes = progress.suggest(settings, self.bits, history)
            point = bayes_point(self.study, self.bits, sizes, trial=trial)
            if not progress.over(point):
                return [*found, (point, None)]
            finished = progress.store.rounds(progress.key(point))
            loss = finished[-1].best.validation_loss if finished else None
            history.append((sizes, loss))
            found.append((point, loss))
        return found

    def _best(self, trials: Sequence[tuple[Point, float | None]]) -> list[Point]:
        known = [(loss, index) for index, (_, loss) in enumerate(trials) if loss is not None]
        if not known:
            return []
        layers = trials[min(known)[1]][0].recipe.network.layers
        folds = self.study.base.data.folds
        return [
            bayes_point(self.study, self.bits, layers[1:-1], trial=None, fold=fold)
            for fold in range(folds)
        ]

    def points(self, progress: Progress) -> list[Point]:
        """Return the trials begun and, if all are finished, the best sizes in full."""
        trials = self._trials(progress)
        points = [point for point, _ in trials]
        return points + (self._best(trials) if self._finished(progress, points) else [])

    def _finished(self, progress: Progress, trials: list[Point]) -> bool:
        assert self.study.bayes is not None
        return len(trials) == self.study.bayes.trials and progress.over(trials[-1])

    def steps(self, progress: Progress) -> list[Step]:
        """Return the next trial, or the best sizes for each fold."""
        trials = self._trials(progress)
        points = [point for point, _ in trials]
        if not self._finished(progress, points):
            return [Step((points[-1],), 0)]
        return [Step((p,), progress.done(p)) for p in self._best(trials) if not progress.over(p)]


def plans(study: Study, grid: Iterable[Point], frames: StudyData) -> list[Plan]:
    """Return the plans of a study: stacks of its grid's points, and its searches.

    Points that can be trained together are taken in their order, `compute.width` at a time.
    """
    kinds: dict[Hashable, list[Point]] = {}
    for point in grid:
        length = len(frames.arrays[frames.of(point)[0]])
        kinds.setdefault(rounds.kind(point.recipe, length), []).append(point)
    width = study.compute.width
    found: list[Plan] = [
        Side(tuple(points[at : at + width]))
        for points in kinds.values()
        for at in range(0, len(points), width)
    ]
    if study.bayes is not None:
        found += [Search(study, bits) for bits in study.bayes.bits]
    return found


def check(study: Study, frames: StudyData, grid: Sequence[Point]) -> None:
    """Find out before anything is trained whether all points can be.

    Raises UserError if a network does not fit the data or a teacher is missing; if bipolar layers
    are pruned; if steps are to be compiled and there is no compiler.
    """
    if study.compute.compiled is True:
        check_compiler("compute.compiled", "set compiled: auto")
    for point in grid:
        frames.of(point)
        shares = [now.share for now in rounds.plan(point.recipe)]
        if max(shares) > 0 and all(bits == 1 for bits in point.recipe.network.weight_widths):
            raise UserError(
                f"base.pruning: networks with bits 1 can't be pruned, weights of -1 and +1 have no "
                f"zero; expected bits of 2 or more, found a share of {max(shares):g}: leave 1 out "
                f"of the grid, or give base.pruning.shares: [0]"
            )
    if study.bayes is not None:
        for bits in study.bayes.bits:
            lowest = tuple(low for low, _ in study.bayes.sizes)
            frames.of(bayes_point(study, bits, lowest, trial=0))
