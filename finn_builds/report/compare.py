"""Several finished builds side by side, and which of them no other one beats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finn_builds.errors import UserError
from finn_builds.files import PAGE_DATA_FILE
from finn_builds.report.design import ESTIMATED, RESOURCES, SYNTHESISED
from finn_builds.run import state as disk


@dataclass(frozen=True)
class Build:
    """The figures of one build that are compared.

    Attributes
    ----------
    name, folder : str
        Name of the folder, made longer where two have one name; the folder's path.
    model, board, style, weight_types, activation_types : str
        What was built. Types of several layers are joined.
    clock_ns : float
        Clock that was asked for.
    weights : int
        Of all layers, zeros included.
    sparsity : float
        Share of the weights that are zero.
    frames, mismatches : int
        Of the verification.
    accuracy, error : float or None
        Share of right classes and its standard error.
    data : str
        What the accuracy was measured on.
    surrogate : bool
        These data are not real.
    latency_cycles, interval_cycles, latency_ns, fps : float
        Measured in simulation, at the clock that was asked for.
    estimated, synthesised : dict of str to float
        Resources of the whole design.
    device : dict of str to int
        What the board's device has of them.
    """

    name: str
    folder: str
    model: str
    board: str
    style: str
    weight_types: str
    activation_types: str
    clock_ns: float
    weights: int
    sparsity: float
    frames: int
    mismatches: int
    accuracy: float | None
    error: float
    data: str
    surrogate: bool
    latency_cycles: float
    latency_ns: float
    interval_cycles: float
    fps: float
    estimated: dict[str, float]
    synthesised: dict[str, float]
    device: dict[str, int]

    def resource(self, name: str, kind: str) -> float | None:
        """Return the amount of a resource, estimated or synthesised; None if it is not known."""
        return (self.synthesised if kind == SYNTHESISED else self.estimated).get(name)


@dataclass(frozen=True)
class Comparison:
    """Builds and what follows from their figures.

    Attributes
    ----------
    builds : tuple of Build
    kind : str
        Kind of the resources that are compared: the same for all builds.
    lut_front, latency_front : frozenset of str
        Names of the builds that none judged on the same data beats: at least as accurate with
        fewer LUTs or, in ns, a shorter latency.
    """

    builds: tuple[Build, ...]
    kind: str
    lut_front: frozenset[str]
    latency_front: frozenset[str]

    def resource(self, build: Build, name: str) -> float | None:
        """Return a build's amount of a resource, of the kind that is compared."""
        return build.resource(name, self.kind)

    @property
    def groups(self) -> tuple[str, ...]:
        """The data that the builds were judged on."""
        known = [build.data for build in self.builds if build.accuracy is not None]
        return tuple(dict.fromkeys(known))

    def as_json(self) -> dict[str, Any]:
        """Return all figures as JSON types."""
        return {
            "resources": self.kind,
            "builds": [
                {
                    **asdict(build),
                    "on_lut_front": build.name in self.lut_front,
                    "on_latency_front": build.name in self.latency_front,
                }
                for build in self.builds
            ],
        }


def compare(folders: Sequence[str | Path]) -> Comparison:
    """Read finished builds and compare them.

    Parameters
    ----------
    folders : sequence of path
        Build folders, two or more.

    Raises
    ------
    UserError
        Fewer than two folders, one of them twice, or one that holds no finished build.
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
    synthesised = all("LUT" in build.synthesised for build in builds)
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
    """Read the figures of one build.

    Parameters
    ----------
    folder : Path
        The build folder.
    name : str
        What to call it.

    Raises
    ------
    UserError
        There is no finished build in the folder.
    """
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
        return _build(json.loads(path.read_text(encoding="utf-8")), folder, name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"compare: expected the figures of this version in {path}, found others "
            f"({type(error).__name__}: {error}); run that build again with --force"
        ) from error


def _build(content: Mapping[str, Any], folder: Path, name: str) -> Build:
    layers, accuracy, timing = content["layers"], content["accuracy"], content["timing"]
    weights = sum(layer["n_in"] * layer["n_out"] for layer in layers)
    styles = {layer["style"] for layer in layers}
    uses = {use["name"]: use for use in content["uses"]}
    return Build(
        name=name,
        folder=str(folder),
        model=content["model"],
        board=content["board"],
        style=styles.pop() if len(styles) == 1 else "mixed",
        weight_types=_joined(layer["weight_type"] for layer in layers),
        activation_types=_joined(layer["input_type"] for layer in layers),
        clock_ns=content["clock_ns"],
        weights=weights,
        sparsity=1 - sum(layer["nonzero"] for layer in layers) / weights,
        frames=content["verification"]["frames"],
        mismatches=content["verification"]["mismatches"],
        accuracy=accuracy and accuracy["share"],
        error=accuracy["error"] if accuracy else 0.0,
        data=accuracy["source"] if accuracy else "",
        surrogate=bool(accuracy and accuracy["surrogate"]),
        latency_cycles=timing["latency_cycles"],
        latency_ns=timing["latency_ns"],
        interval_cycles=timing["interval_cycles"],
        fps=timing["fps"],
        estimated=_known(uses, "estimated"),
        synthesised=_known(uses, "synthesised"),
        device={use: uses[use]["device"] for use in RESOURCES},
    )


def _joined(names: Any) -> str:
    return ", ".join(dict.fromkeys(names))


def _known(uses: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, float]:
    return {name: use[kind] for name, use in uses.items() if use[kind] is not None}


def front(builds: Sequence[Build], cost: Callable[[Build], float | None]) -> frozenset[str]:
    """Return the builds that no other one beats in accuracy and cost.

    One build beats another if it is at least as good in both and better in one. Only builds that
    were judged on the same data can beat one another; those of unknown accuracy or cost are left
    out.
    """
    known = [
        (build, build.accuracy, value)
        for build in builds
        if build.accuracy is not None and (value := cost(build)) is not None
    ]
    return frozenset(
        build.name
        for build, share, price in known
        if not any(
            other.data == build.data
            and share <= their_share
            and price >= their_price
            and (share, price) != (their_share, their_price)
            for other, their_share, their_price in known
        )
    )
