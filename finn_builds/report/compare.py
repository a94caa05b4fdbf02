"""Several finished builds side by side, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finn_builds.errors import UserError
from finn_builds.files import PAGE_DATA_FILE, as_json, read_record
from finn_builds.report.content import BuildReport
from finn_builds.report.design import ESTIMATED, SYNTHESISED, Use
from finn_builds.run import state as disk


@dataclass(frozen=True)
class Build:
    """One build of those that are compared."""

    name: str  # name of the folder, made longer where two have one name
    folder: Path
    report: BuildReport  # as the folder holds it: without what is only drawn

    @property
    def latency_ns(self) -> float:
        """Measured in simulation, at the clock that was asked for."""
        return self.report.performance.latency_ns

    def use(self, resource: str) -> Use:
        """Return what the build needs of a resource."""
        return next(use for use in self.report.uses if use.name == resource)

    def resource(self, name: str, kind: str) -> float | None:
        """Return the amount of a resource, estimated or synthesised; None if it is not known."""
        use = self.use(name)
        return use.synthesised if kind == SYNTHESISED else use.estimated


@dataclass(frozen=True)
class Comparison:
    """Builds and what follows from their figures."""

    builds: tuple[Build, ...]
    kind: str  # kind of the resources that are compared: the same for all builds
    # Names of the builds that none judged on the same data beats: at least as accurate with fewer
    # LUTs or, in ns, a shorter latency
    lut_front: frozenset[str]
    latency_front: frozenset[str]

    def resource(self, build: Build, name: str) -> float | None:
        """Return a build's amount of a resource, of the kind that is compared."""
        return build.resource(name, self.kind)

    @property
    def groups(self) -> tuple[str, ...]:
        """The data that the builds were judged on."""
        known = [build.report.accuracy for build in self.builds]
        return tuple(dict.fromkeys(accuracy.source for accuracy in known if accuracy))

    def as_json(self) -> dict[str, Any]:
        """Return all figures as JSON types: of each build those of its page, and more."""
        return {
            "resources": self.kind,
            "builds": [
                {
                    "name": build.name,
                    "folder": str(build.folder),
                    **as_json(build.report),
                    "style": build.report.styles,
                    "weight_types": build.report.weight_types,
                    "activation_types": build.report.activation_types,
                    "weights": build.report.weights,
                    "sparsity": build.report.sparsity,
                    "latency_ns": build.latency_ns,
                    "fps": build.report.performance.fps,
                    "on_lut_front": build.name in self.lut_front,
                    "on_latency_front": build.name in self.latency_front,
                }
                for build in self.builds
            ],
        }


def compare(folders: Sequence[str | Path]) -> Comparison:
    """Read finished builds, two or more, and compare them.

    Raises UserError for fewer, for one of them twice, or for one that is not finished.
    """
    paths = [Path(folder).expanduser().absolute() for folder in folders]
    if len(paths) < 2:
        raise UserError(
            f"compare: expected two build folders or more, found {len(paths)}; "
            "name them one after the other, e.g. build/a build/b"
        )
    resolved = [path.resolve() for path in paths]
    for path, real in zip(paths, resolved, strict=True):
        if resolved.count(real) > 1:
            raise UserError(
                f"compare: expected different folders, found {path} twice; leave one out"
            )
    builds = tuple(
        read_build(path, name) for path, name in zip(paths, short_names(paths), strict=True)
    )
    synthesised = all(build.use("LUT").synthesised is not None for build in builds)
    kind = SYNTHESISED if synthesised else ESTIMATED
    return Comparison(
        builds,
        kind,
        front(builds, lambda build: build.resource("LUT", kind)),
        front(builds, lambda build: build.latency_ns),
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of paths, just enough to distinguish them."""
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def read_build(folder: Path, name: str) -> Build:
    """Read the figures of a build, to be called `name`; UserError if it is not a finished one."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise UserError(
            f"compare: expected a build folder at {folder}, found {found} there; "
            "name a folder that build.py has filled"
        )
    if not (folder / disk.STATE_FILE).is_file():
        raise UserError(
            f"compare: expected a build folder, found no {disk.STATE_FILE} in {folder}; "
            "name a folder that build.py has filled"
        )
    path = folder / PAGE_DATA_FILE
    if not disk.State.load(folder).complete or not path.is_file():
        raise UserError(
            f"compare: expected a finished build, found an unfinished one in {folder}; "
            "run its build.py command again, which goes on where it stopped"
        )
    try:
        return Build(name, folder, read_record(path, BuildReport))
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise UserError(
            f"compare: expected the figures of this version in {path}, found others "
            f"({fault}); run that build again with --force"
        ) from error


def front(builds: Sequence[Build], cost: Callable[[Build], float | None]) -> frozenset[str]:
    """Return the builds that no other one beats in accuracy and cost.

    One build beats another if it is at least as good in both and better in one. Only builds that
    were judged on the same data can beat one another; those of unknown accuracy or cost are left
    out.
    """
    known = [
        (build.name, accuracy.source, accuracy.accuracy, value)
        for build in builds
        if (accuracy := build.report.accuracy) and (value := cost(build)) is not None
    ]
    return frozenset(
        name
        for name, source, share, price in known
        if not any(
            their_source == source
            and share <= their_share
            and price >= their_price
            and (share, price) != (their_share, their_price)
            for _, their_source, their_share, their_price in known
        )
    )
