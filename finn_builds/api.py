"""The Python face of a build: ``build(BuildConfig(...)) -> BuildResult``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finn_builds.config.build import BuildConfig
from finn_builds.files import SUMMARY_FILE, read_json
from finn_builds.flow.steps import STEPS
from finn_builds.run.progress import Reporter
from finn_builds.run.runner import result_of, run_steps

if TYPE_CHECKING:
    from deploy.host_model import HostModel
    from finn_builds.ingest import Reference
    from finn_builds.network import IntegerNetwork


@dataclass(frozen=True)
class BuildResult:
    """A finished build, or the part of it that ``stop_step`` asked for.

    Attributes
    ----------
    out : Path
        The folder with the results. It is the build folder, except where a finished build in it
        had to run steps again and was stopped before its last one.
    finished_out : Path or None
        In that case the build folder: its finished build stays as it is.
    summary : dict
        Headline figures, the contents of ``report/summary.json``; empty when the build was
        stopped before its last step.
    ran, reused : tuple of str
        Steps that were run, and steps taken from an earlier run.
    seconds : dict of str to float
        Time of each step in s.
    """

    out: Path
    finished_out: Path | None
    summary: dict[str, Any]
    ran: tuple[str, ...]
    reused: tuple[str, ...]
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
        return Reference(tidied.model, input_quant=split.input_quant)

    @property
    def network(self) -> IntegerNetwork:
        """The verified integer network: it executes and prints itself."""
        from finn_builds.verify.streamlined import Streamlined

        streamlined: Streamlined = result_of(self.out, Streamlined)
        return streamlined.network


def build(config: BuildConfig, *, reporter: Reporter | None = None) -> BuildResult:
    """Build a verified accelerator.

    Parameters
    ----------
    config : BuildConfig
        What to build; checked here.
    reporter : Reporter, optional
        Shows the progress; by default nothing is shown.

    Returns
    -------
    BuildResult
        Paths, figures and the verified model to execute.

    Raises
    ------
    UserError
        Something in the configuration or in the files it names can't be built.
    VerificationError
        A form of the network differs from the QONNX model.
    """
    cfg = config.validate()
    result = run_steps(STEPS, cfg, reporter=reporter)
    summary = read_json(result.out / SUMMARY_FILE) if result.complete else {}
    finished_out = None if result.out == cfg.out else cfg.out
    return BuildResult(result.out, finished_out, summary, result.ran, result.reused, result.seconds)
