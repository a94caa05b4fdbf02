"""All that a build can be told: one dataclass, checked before anything is written.

``BuildConfig`` is FINN's ``DataflowBuildConfig`` with this flow's own fields added, so FINN's
build steps accept it. FINN's names are kept where FINN has the field.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finn.builder.build_dataflow_config import DataflowBuildConfig

from finn_builds.config import fingerprint as fp
from finn_builds.config import inputs as files
from finn_builds.config.boards import Board, board_path, load_board
from finn_builds.config.checks import choice, integer, is_path, number
from finn_builds.config.inputs import find_data, find_folding, find_model, find_output_dir
from finn_builds.errors import UserError
from finn_builds.vivado.bitfile import require_vivado

STYLES = ("auto", "folded", "sparse")
TRACES = ("vcd", "fst")
SYNTHS = ("auto", "yosys", "vivado", "none")

#: FINN's fields that this flow reads. The others are refused when they are set, because a
#: setting without effect misleads.
FINN_FIELDS = frozenset(
    {
        "board",
        "folding_config_file",
        "fpga_part",
        "output_dir",
        "start_step",
        "stop_step",
        "synth_clk_period_ns",
        "target_fps",
    }
)

#: Fields that say how to run, not what to build: they are in no step's key.
RUN_FIELDS = frozenset({"force", "output_dir", "progress", "start_step", "stop_step"})

ProgressCallback = Callable[[int, int, str], None]


def no_progress(done: int, total: int, what: str = "") -> None:
    """Report nothing: what a step's ``cfg.progress(done, total, what)`` does by default."""


@dataclass(kw_only=True)
class BuildConfig(DataflowBuildConfig):
    """One build: which model on which board, how fast, checked how.

    ``validate`` returns the checked and completed copy that the steps get.
    """

    class Config(DataflowBuildConfig.Config):  # type: ignore[misc]
        """Writes the code that reads and writes JSON when it is first used, not on import."""

        lazy_compilation = True

    output_dir: str | Path | None = None  # type: ignore[assignment]
    """Build folder; default ``build/<model>_<board>``."""

    synth_clk_period_ns: float | None = None  # type: ignore[assignment]
    """Clock period in ns; default the board's."""

    target_fps: float | None = None  # type: ignore[assignment]
    """Frames per second to reach; default the most that fits the board."""

    model: str = "jets"
    """Name of a model of the zoo, or path of a QONNX file."""

    data: str | None = None
    """Data to verify with: a data set's name, or a ``.npz`` or ``.csv`` file. Default: the data
    set a model of the zoo was trained on; random inputs for any other model."""

    standardise: bool = False
    """Subtract the mean of the training data and divide by their standard deviation before the
    model; a file of ``data`` brings them as ``scaler_mean`` and ``scaler_scale``."""

    verify_frames: int = 1000
    """How many frames are compared with the QONNX model, three or more: the interval between
    frames is measured over the second half of them."""

    verify_seed: int = 0
    """Seed of everything that verification draws at random."""

    style: str = "auto"
    """How layers are built: ``folded`` (shared multipliers, weights in memory), ``sparse`` (every
    remaining weight is logic, one frame per clock), or ``auto`` (the flow decides by layer)."""

    latency_cycles: int | None = None
    """Clocks from input to output that each run of sparse layers is pipelined for; default: as
    many as the clock period demands."""

    input_quant: str | None = None
    """Quantise the input to this type, e.g. ``INT8``, for models without an input quantiser."""

    input_scale: float | None = None
    """Step of the input quantiser; default from the range of the data."""

    top1: bool = False
    """Put out the index of the largest logit instead of all logits."""

    synth: str = "auto"
    """What counts the resources: ``yosys``, ``vivado``, ``none`` (estimates only), or ``auto``:
    Vivado where it is on the search path, else Yosys."""

    bitfile: bool = False
    """Run Vivado to the bitfile; Vivado must be on the search path."""

    trace: str | None = None
    """Write a waveform of the simulation: ``vcd`` or ``fst``."""

    force: bool = False
    """Forget what the build folder holds and run every step."""

    progress: ProgressCallback = field(
        default_factory=lambda: no_progress,
        init=False,
        repr=False,
        compare=False,
        metadata={"serialize": "omit"},
    )
    """``cfg.progress(done, total, what)``: lets a step tell how far it has come. The runner
    points it at the terminal; the call costs little and may be made at any rate."""

    def validate(self) -> BuildConfig:
        """Check every field and return a copy with the defaults filled in.

        Returns
        -------
        BuildConfig
            With ``output_dir`` (absolute), ``fpga_part`` and ``synth_clk_period_ns`` set, and
            ``model``, ``data`` and ``folding_config_file`` absolute where they are files.

        Raises
        ------
        UserError
            A field is not what it should be; the message names it.
        """
        self._check_finn_fields()
        board = self._check_board()
        clock = board.clock_ns if self.synth_clk_period_ns is None else self.synth_clk_period_ns
        number("clock period (ns)", clock)
        if clock < 1:
            raise UserError(
                f"clock period: expected 1 ns or more, found {clock:g}: these FPGAs do not reach "
                "1 GHz; give a longer one"
            )
        if self.target_fps is not None:
            number("target_fps", self.target_fps)
        integer("verify_frames", self.verify_frames, least=3)
        integer("verify_seed", self.verify_seed, least=0)
        choice("style", self.style, STYLES)
        if self.latency_cycles is not None:
            integer("latency_cycles", self.latency_cycles, least=2)
        choice("synth", self.synth, SYNTHS)
        if self.synth == "vivado" and shutil.which("vivado") is None:
            raise UserError(
                "synth vivado: there is no `vivado` on the search path; choose yosys, or put "
                "Vivado's bin folder on the path"
            )
        if self.trace is not None:
            choice("trace", self.trace, TRACES)
        self._check_input_quant()
        if self.force and self.start_step is not None:
            raise UserError("force runs every step, start_step only the later ones: leave one out")
        completed: dict[str, Any] = {
            "model": find_model(self.model),
            "data": find_data(self.data),
            "folding_config_file": find_folding(self.folding_config_file),
            "fpga_part": board.part,
            "synth_clk_period_ns": float(clock),
            "target_fps": None if self.target_fps is None else float(self.target_fps),
            "input_scale": None if self.input_scale is None else float(self.input_scale),
        }
        checked = dataclasses.replace(self, **completed)
        inputs = (checked.model_file, checked.data, checked.folding_config_file)
        checked.output_dir = find_output_dir(self.output_dir or checked.default_out, inputs)
        if self.bitfile:
            require_vivado(str(checked.output_dir))
        return checked

    @property
    def board_spec(self) -> Board:
        """The board's description.

        Raises
        ------
        UserError
            No board is given, or there is none of that name.
        """
        if self.board is None:
            raise UserError("no board given: expected a name, e.g. Pynq-Z1; --list-boards has them")
        return load_board(self.board)

    @property
    def clock_ns(self) -> float:
        """The clock period in ns; set once the configuration is validated."""
        if self.synth_clk_period_ns is None:
            raise ValueError("call validate() first")
        return float(self.synth_clk_period_ns)

    @property
    def model_file(self) -> Path:
        """The QONNX file."""
        return files.model_file(self.model)

    @property
    def model_name(self) -> str:
        """The model's name as it is used in names of files and folders."""
        stem = Path(self.model).stem if is_path(self.model) else self.model
        return re.sub(r"[^\w.-]+", "_", stem).strip(".") or "model"

    @property
    def default_out(self) -> Path:
        """The build folder where none is given, relative to the present folder."""
        return Path("build") / f"{self.model_name}_{self.board}"

    @property
    def out(self) -> Path:
        """The build folder; set once the configuration is validated."""
        if self.output_dir is None:
            raise ValueError("call validate() first")
        return Path(self.output_dir)

    @property
    def scratch(self) -> Path:
        """Folder for what a step needs for itself alone; empty when a step begins, then gone.

        Its name is new in each run, so that a compiler which outlives a killed build can't write
        among the files of the next one.
        """
        folder: Path | None = self.__dict__.get("_scratch")
        if folder is None:
            raise RuntimeError("only a running step has a scratch folder")
        return folder

    def view(
        self, allowed: Iterable[str], progress: ProgressCallback, scratch: Path
    ) -> BuildConfig:
        """Return a copy for one step, which may read the allowed fields and no others.

        A step whose result depends on a field that it doesn't declare would be reused when that
        field changes; so reading such a field is an error, in every build and in every test.

        Parameters
        ----------
        allowed
            Names of fields; those in ``RUN_FIELDS`` may always be read.
        progress
            What the step's ``cfg.progress`` calls.
        scratch
            The step's ``cfg.scratch``.
        """
        view = copy.copy(self)
        view.progress = progress
        view.__dict__["_allowed"] = frozenset(allowed)
        view.__dict__["_scratch"] = scratch
        view.__class__ = _View
        return view

    def field_digests(self) -> dict[str, Any]:
        """Return what each field stands for: contents of files, values of the others."""
        return {
            item.name: self._field_digest(item.name)
            for item in dataclasses.fields(self)
            if item.name not in RUN_FIELDS
        }

    def environment(self) -> dict[str, Any]:
        """Return what decides results beside the fields: sources and versions."""
        return {"sources": fp.source_digest(), "versions": fp.versions()}

    def fingerprint(self) -> str:
        """Return the SHA-256 over all that decides the result of a validated configuration."""
        return fp.digest({"fields": self.field_digests(), **self.environment()})

    def _field_digest(self, name: str) -> Any:
        value = getattr(self, name)
        if name == "model":
            return fp.model_digest(self.model_file)
        if name == "data" and value is not None and is_path(value):
            return {"name": Path(value).name, "content": fp.file_digest(Path(value))}
        if name == "data":
            # The data set may be named here or in the model, and what is downloaded changes.
            known = {set_: fp.file_digest(files.data_file(set_)) for set_ in files.data_names()}
            return {"name": value, "files": known}
        if name == "board" and value is not None:
            return fp.file_digest(board_path(value))
        if isinstance(value, Path):
            return fp.tree_digest(value)
        return json.loads(json.dumps(value, default=str))

    def _check_finn_fields(self) -> None:
        defaults = DataflowBuildConfig()
        for name in sorted({item.name for item in dataclasses.fields(defaults)} - FINN_FIELDS):
            if getattr(self, name) != getattr(defaults, name):
                raise UserError(f"FINN's option {name} has no effect in this flow: leave it out")

    def _check_board(self) -> Board:
        board = self.board_spec
        if self.fpga_part not in (None, board.part):
            raise UserError(
                f"fpga_part {self.fpga_part}: {board.name} carries {board.part}; leave it out, "
                f"or describe the other board in board_configs/"
            )
        return board

    def _check_input_quant(self) -> None:
        if self.input_quant is None:
            if self.input_scale is not None:
                raise UserError("input_scale needs input_quant: say to which type, e.g. INT8")
            return
        if not re.fullmatch(r"INT[2-8]|UINT[1-8]", self.input_quant):
            raise UserError(
                "input_quant: expected INT2 to INT8 or UINT1 to UINT8, found "
                f"{self.input_quant!r}; choose one of them"
            )
        if self.input_scale is not None:
            number("input_scale", self.input_scale)


OWN_FIELDS = frozenset(item.name for item in dataclasses.fields(BuildConfig)) - frozenset(
    item.name for item in dataclasses.fields(DataflowBuildConfig)
)

#: Fields whose reading a step must declare: all that may differ between two builds.
DECLARED_FIELDS = (FINN_FIELDS | OWN_FIELDS) - RUN_FIELDS


class _View(BuildConfig):
    """A configuration that lets a step read only what it has declared."""

    def __getattribute__(self, name: str) -> Any:
        if name in DECLARED_FIELDS and name not in object.__getattribute__(self, "_allowed"):
            raise RuntimeError(f"this step reads cfg.{name} without declaring it in reads=")
        return super().__getattribute__(name)
