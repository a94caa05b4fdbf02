"""The Python face: ``build(BuildConfig(...)) -> BuildResult``, and what a model costs as logic."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from finn_builds.config.build import BuildConfig
from finn_builds.errors import UserError
from finn_builds.files import PAGE_FILE, ROUTE_FILE, SUMMARY_FILE, read_json
from finn_builds.flow.steps import STEPS
from finn_builds.route.closure import Turn, next_turn
from finn_builds.run.notebook import notebook_reporter
from finn_builds.run.progress import Reporter
from finn_builds.run.runner import RunResult, result_of, run_steps

if TYPE_CHECKING:
    import numpy as np

    from deploy.host_model import HostModel
    from finn_builds.ingest import Reference
    from finn_builds.network import IntegerNetwork
    from finn_builds.report.trace import Trace
    from finn_builds.route.report import Routed

    Raw = np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True)
class BuildResult:
    """A finished build, or the part of it that ``stop_step`` asked for.

    ``out`` is the folder with the results: the build folder, except where a finished build in it
    had to run steps again and was stopped before its last one. In that case ``finished_out`` is the
    build folder, whose finished build stays as it is.
    """

    out: Path
    finished_out: Path | None
    #: ``report/summary.json``; empty when stopped before the last step. Under ``turns`` are plans
    #: and routed clocks where the layers were planned again.
    summary: dict[str, Any]
    ran: tuple[str, ...]
    reused: tuple[str, ...]  # from an earlier run
    seconds: dict[str, float]

    @property
    def stitched_ip(self) -> Path:
        """Folder of Verilog and memory contents."""
        return self.out / "stitched_ip"

    @property
    def report(self) -> Path:
        """Folder of reports."""
        return self.out / "report"

    @property
    def host(self) -> HostModel:
        """What the host computes before and after the accelerator."""
        from finn_builds.ingest import HostSplit

        split: HostSplit = result_of(self.out, HostSplit)
        return split.host

    @property
    def reference(self) -> Reference:
        """The QONNX model the build was verified against, ready to execute."""
        from finn_builds.ingest import HostSplit, Reference, Tidied

        split: HostSplit = result_of(self.out, HostSplit)
        tidied: Tidied = result_of(self.out, Tidied)
        return Reference(tidied.model, split)

    @property
    def network(self) -> IntegerNetwork:
        """The verified integer network: it executes and prints itself."""
        from finn_builds.verify.streamlined import Streamlined

        streamlined: Streamlined = result_of(self.out, Streamlined)
        return streamlined.network

    def predict(self, x: Raw) -> np.ndarray:
        """Return the class of each raw frame, int64 (frames,), as the accelerator finds it.

        `x` is (frames, features), or a dictionary of such arrays if the model has several inputs.
        """
        return self.host.classify(self._outputs(x))

    def scores(self, x: Raw) -> np.ndarray | dict[str, np.ndarray]:
        """Return the network's outputs for raw frames, float32 (frames, n), several by name."""
        found: np.ndarray | dict[str, np.ndarray] = self.host.after(self._outputs(x))
        return found

    def trace(self, x: Raw) -> Trace:
        """Return what each tensor becomes for raw frames; its `plot` shows ranges and types."""
        from finn_builds.ingest import HostSplit, Reference, Tidied
        from finn_builds.report.trace import Trace

        split: HostSplit = result_of(self.out, HostSplit)
        tidied: Tidied = result_of(self.out, Tidied)
        network = self.network.without_head()
        integers = network.values(network.split(split.host.before(x)))
        return Trace(network, integers, Reference(tidied.model).tensors(x))

    def _outputs(self, x: Raw) -> np.ndarray:
        found: np.ndarray = self.network.without_head().execute(self.host.before(x))
        return found

    def _repr_html_(self) -> str:
        """Return the report for a notebook, where the page stands in a frame of its own."""
        page = self.out / PAGE_FILE
        if not page.is_file():
            return f"<p>unfinished build in {html.escape(str(self.out))}</p>"
        text = html.escape(page.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{text}" style="width:100%;height:50rem;border:0"></iframe>'


def build(
    config: BuildConfig | None = None,
    *,
    model: object = None,
    example: object = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> BuildResult:
    """Build a verified accelerator.

    Parameters
    ----------
    config : BuildConfig or None
        What to build; None: `model` and `options` are its fields.
    model : str, Path or a torch module of Brevitas layers
        A module is exported to a QONNX file beside the build folder, under the name of its class.
    example : array
        One or more frames as the module takes them.
    reporter : Reporter or None
        Shows the progress; None: a bar in a notebook, else nothing.

    Raises
    ------
    UserError
        Something in the configuration or in the files it names can't be built.
    VerificationError
        A form of the network differs from the QONNX model.
    """
    if config is None:
        if model is not None and not isinstance(model, str | Path):
            from finn_builds.ingest.torch_module import exported

            cfg = BuildConfig(model=type(model).__name__ + ".onnx", **options)
            file = Path(cfg.output_dir or cfg.default_out).absolute().parent / cfg.model
            model = exported(model, example, file)
            options["output_dir"] = cfg.output_dir or cfg.default_out
        elif example is not None:
            raise UserError("example: only a torch module needs one; leave it out")
        if model is not None:
            options["model"] = model
        config = BuildConfig(**options)
    elif model is not None or example is not None or options:
        raise UserError("expected a BuildConfig or its fields, found both; put all in one")
    cfg = config.validate()
    shown = reporter or notebook_reporter()
    result = run_steps(STEPS, cfg, reporter=shown)
    turns: list[Turn] = []
    plan_is_free = config.plan_ns is None and config.latency_cycles is None
    while (routed := _routed(result)) is not None:
        helps = plan_is_free and routed.inside
        found = routed.routed_mhz, routed.estimated_ns
        turns.append(Turn(cfg.planned_ns, *found, cfg.seeds, helps))
        wanted = next_turn(turns, routed.made_mhz)
        if wanted is None:
            break
        planned, seeds = wanted
        plan_ns = planned if plan_is_free and planned != cfg.clock_ns else config.plan_ns
        cfg = dataclasses.replace(config, seeds=seeds, plan_ns=plan_ns).validate()
        result = run_steps(STEPS, cfg, reporter=shown)
    summary = read_json(result.out / SUMMARY_FILE) if result.complete else {}
    if len(turns) > 1:
        summary["turns"] = [turn._asdict() for turn in turns]
    finished_out = None if result.out == cfg.out else cfg.out
    return BuildResult(result.out, finished_out, summary, result.ran, result.reused, result.seconds)


def _routed(result: RunResult) -> Routed | None:
    """Return what was routed, None where nothing was or where it decides nothing."""
    if not result.complete or not (result.out / ROUTE_FILE).is_file():
        return None
    from finn_builds.route.report import Routed

    routed = Routed.load(result.out, "")
    return None if routed.second_opinion else routed


def read_network(model: str | Path) -> IntegerNetwork:
    """Return the integers of a QONNX file as a build computes them; UserError if it can't be built.

    It prints itself and executes; nothing is verified yet.
    """
    from finn_builds.ingest import load_model, split_host, tidy

    return split_host(tidy(load_model(Path(model)))).network


def layer_luts(model: Path, family: str = "xc7") -> list[int]:
    """Return the LUTs of each Linear layer of a QONNX model with its activation, each by itself.

    Registers for a pipeline are not counted, nor what layers share with each other.
    """
    from finn_builds.sparse.cost import estimate
    from finn_builds.sparse.families import family_named
    from finn_builds.sparse.lower import lower

    network, target = read_network(model), family_named(family)
    parts = (network.part([layer]) for layer in network.layers())
    return [int(estimate(lower(part, target), target).luts) for part in parts]


def check_board(name: str) -> None:
    """Raise `UserError` unless there is such a board."""
    from finn_builds.config.boards import load_board

    load_board(name)


def build_row(model: Path, board: str, synth: str, frames: int) -> dict[str, Any]:
    """Build a QONNX model in the sparse style, verify it, and return the columns of a study's row.

    `synth` is that of a build; with ``none`` the LUTs are those that the build estimates, and there
    are no FFs. ``hardware_tool`` says what counted LUTs and FFs. Raises UserError if the model
    can't be built, or LUTs and FFs were to be counted and were not: a synthesis that is too slow is
    stopped, and an estimate among counted figures would be taken for one of them.
    """
    with tempfile.TemporaryDirectory(prefix="study-") as folder:
        config = BuildConfig(
            board=board,
            model=str(model),
            style="sparse",
            synth=cast(Any, synth),  # checked there
            verify_frames=frames,
            output_dir=Path(folder),
        )
        # A build shows what it does on the terminal; a study has its own lines.
        with contextlib.redirect_stdout(None):
            summary = build(config).summary
    counted = summary.get("synthesised")
    if counted is None and synth != "none":
        raise UserError(
            f"LUTs and FFs were to be counted by {synth} and were not "
            f"({summary.get('not_synthesised', 'no reason given')}); run the same command again on "
            f"a less busy machine, or take estimates with hardware.synth: none"
        )
    resources = counted or summary["resources"]
    return {
        "lut": resources["LUT"],
        "ff": resources.get("FF"),
        "latency_cycles": summary["latency_cycles"],
        "verified_frames": summary["frames_verified"],
        "mismatches": summary["mismatches"],
        "hardware_tool": resources["kind"],
    }
