"""The Python face of a build: ``build(BuildConfig(...)) -> BuildResult``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finn_builds.config.build import BuildConfig
from finn_builds.files import HOST_FILE, SUMMARY_FILE, read_json
from finn_builds.flow.steps import STEPS
from finn_builds.run.progress import Reporter
from finn_builds.run.runner import run_steps
from finn_builds.run.state import checkpoint

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

    from deploy.host_model import HostModel
    from finn_builds.ingest import IntegerMLP, Reference


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Attributes
    ----------
    out : Path
        The build folder.
    summary : dict
        Headline figures, the contents of ``report/summary.json``; empty when the build was told
        to stop before its last step.
    ran, reused : tuple of str
        Steps that were run, and steps taken from an earlier run.
    seconds : dict of str to float
        Time of each step in s.
    """

    out: Path
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
        from deploy.host_model import HostModel

        return HostModel.from_json(self.out / HOST_FILE)

    @property
    def reference(self) -> Reference:
        """The QONNX model the build was verified against, ready to execute."""
        from finn_builds.flow.ingest import reference_from

        return reference_from(self.out, checkpoint(self.out, "streamline"))

    @property
    def network(self) -> IntegerMLP:
        """The verified integer network in numpy."""
        from finn_builds.ingest import integer_mlp

        return integer_mlp(checkpoint(self.out, "streamline"))


def load_source(cfg: BuildConfig) -> ModelWrapper:
    """Return the QONNX model a configuration names: a file, or a model of the zoo."""
    from finn_builds.ingest import load_model

    return load_model(cfg.model_file)


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
    result = run_steps(STEPS, cfg, load_source, reporter=reporter)
    summary = read_json(cfg.out / SUMMARY_FILE) if result.complete else {}
    return BuildResult(cfg.out, summary, result.ran, result.reused, result.seconds)
