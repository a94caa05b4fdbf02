"""Build configuration: one dataclass, each option described once.

A new option is a field here and the step that reads it (with its name in the step's ``reads``).
FINN's names are kept where FINN has the field.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass

from finn_builds.config import fingerprint as fp
from finn_builds.config import inputs as files
from finn_builds.config.boards import AnyBoard, board_path, load_board
from finn_builds.config.finn_fields import WITHOUT_EFFECT
from finn_builds.config.inputs import (
    existing_file,
    find_data,
    find_folding,
    find_model,
    find_output_dir,
    is_path,
)
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.options import fault, option, options_of
from finn_builds.config.parts import Target, board_target, part_target
from finn_builds.config.zynq_boards import Board, floor_ns, same_clock
from finn_builds.errors import UserError
from finn_builds.tools.programs import require

RUN = "how to run"
what = partial(option, group="what to build")
size = partial(option, group="how fast, how large")
check = partial(option, group="how to check it")
run = partial(option, group=RUN)

Text = Annotated[
    str, BeforeValidator(lambda given: str(given) if isinstance(given, Path) else given)
]

ProgressCallback = Callable[[float, float, str], None]


def no_progress(done: float, total: float, what: str = "") -> None:
    """Report nothing: what a step's ``cfg.progress(done, total, what)`` does by default."""


@dataclass(kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class BuildConfig:
    """One build: which model on which board, how fast, checked how.

    A value of a wrong type or out of range is a ``UserError`` when the object is made; ``validate``
    checks the rest and returns the completed copy that the steps get.
    """

    board: str | None = what(
        "--board NAME",
        None,
        "board to build for (see --list-boards)",
        expected="the name of a board",
    )
    fpga_part: str | None = what(
        "--part PART",
        None,
        "part of the FPGA, instead of a board: for a package to instantiate in firmware (--package "
        "ip); beside a board it must be the board's",
        unset="the board's",
        expected="the full name of a part",
    )
    package: Literal["pynq", "ip", "both"] | None = what(
        "--package",
        None,
        "what the build delivers: pynq (driver, DMAs, overlay for a PYNQ board), ip (a core with "
        "parallel ports and a fixed latency, in Verilog and VHDL, with a bit-exact model in C++), "
        "or both",
        unset="pynq for a board, ip for a part",
    )
    cells: Literal["vendor", "generic"] = what(
        "--cells",
        "vendor",
        "how the core of --package ip is written: with the family's carry chains and LUTs where "
        "synthesis makes better use of them, or without any cell of a vendor",
    )
    clock_enable: bool = what(
        "--clock-enable", False, "give the core of --package ip a clock enable, ce"
    )
    model: Text = what(
        "--model NAME|FILE",
        "jets",
        "name of a model of the zoo, or path of a QONNX file",
        expected="the name of a model or the path of a file",
    )
    output_dir: str | Path | None = what(
        "--out DIR", None, "build folder", unset="build/<model>_<board>", expected="a path"
    )
    top1: bool = what(
        "--top1", False, "put out the index of the largest logit (the class), not the logits"
    )
    input_quant: str | None = what(
        "--input-quant TYPE",
        None,
        "quantise the input of a model that has no input quantiser, e.g. to INT8",
        expected="INT2 to INT24 or UINT1 to UINT24",
        pattern="^(INT([2-9]|1[0-9]|2[0-4])|UINT([1-9]|1[0-9]|2[0-4]))$",
    )
    input_scale: float | None = what(
        "--input-scale STEP",
        None,
        "step of that quantiser",
        unset="from the range of the data",
        gt=0,
    )
    host_input: bool = what(
        "--host-input",
        False,
        "leave everything in front of the first layer to the host, also where the input is "
        "quantised by a power of two",
    )
    synth_clk_period_ns: float | None = size(
        "--clock-ns NS",
        None,
        "clock period in ns",
        unset="the board's",
        expected="1 ns or more (these FPGAs do not reach 1 GHz)",
        ge=1,
    )
    target_fps: float | None = size(
        "--target-fps FPS",
        None,
        "frames per second to reach",
        unset="the most that fits the board",
        gt=0,
    )
    folding_config_file: str | Path | None = size(
        "--folding FILE",
        None,
        "FINN folding configuration (JSON) of folded layers",
        expected="a path",
    )
    style: Literal["auto", "folded", "sparse"] = size(
        "--style",
        "auto",
        "how layers are built: folded (shared multipliers, weights in memory), sparse (every "
        "remaining weight is logic, one frame per clock), or auto (chosen for each layer)",
    )
    latency_cycles: int | None = size(
        "--latency-cycles N",
        None,
        "clocks from input to output that each run of sparse layers is pipelined for",
        unset="as the clock period demands",
        ge=2,
    )
    synth: Literal["auto", "yosys", "vivado", "none"] = size(
        "--synth",
        "auto",
        "what counts the resources: yosys, vivado, none (estimates only), or auto (yosys, and "
        "vivado beside it where it is installed)",
    )
    bitfile: bool = size(
        "--bitfile",
        False,
        "make the bitfile: with Vivado, which leaves a project where it is not installed, or for "
        "an open board with nextpnr",
    )
    route: bool = size(
        "--route",
        False,
        "place and route with nextpnr: open boards with packages from pip, 7-series boards, as a "
        "second opinion, with a program and a --chipdb of the user's",
    )
    chipdb: str | Path | None = size(
        "--chipdb FILE",
        None,
        "chip database of nextpnr-xilinx or nextpnr-himbaechel, for --route on a 7-series board",
        expected="a path",
    )
    seeds: int = size(
        "--seeds N", 1, "placements that --route tries, of which the best counts", ge=1
    )
    plan_ns: float | None = size(
        "--plan-ns NS",
        None,
        "clock period that sparse layers are pipelined for",
        unset="the clock period; with --route shorter, where the routed clock misses it",
        ge=0.5,
    )
    data: Text | None = check(
        "--data NAME|FILE",
        None,
        "data to verify with: the name of a data set, or a file (.npz, .npy, .csv, .tsv, .txt) of "
        "features alone, or with classes or targets",
        unset="the data set of a model of the zoo, else random inputs",
        expected="the name of a data set or the path of a file",
    )
    classes: Text | None = check(
        "--classes A,B,...",
        None,
        "the classes of the data in the order of the model's outputs",
        unset="the model's own names, else the order of the numbers or of the alphabet",
        expected="names, separated by commas",
    )
    golden: str | Path | None = check(
        "--golden FILE",
        None,
        "expected integers from elsewhere, .npz or .csv, compared with the network and the RTL",
        expected="a path",
    )
    standardise: bool = check(
        "--standardise",
        False,
        "subtract the mean of the training data and divide by their standard deviation before the "
        "model; a file of --data brings both as scaler_mean and scaler_scale",
    )
    # Three or more: the interval between frames is measured over the second half of them.
    verify_frames: int = check(
        "--verify-frames N", 1000, "frames to compare with the QONNX model", ge=3
    )
    verify_seed: int = check("--seed N", 0, "seed of random inputs and stalls", ge=0)
    trace: Literal["vcd", "fst"] | None = check(
        "--trace", None, "write a waveform of the simulation"
    )
    start_step: str | None = run(
        "--start-step STEP",
        None,
        "run again from this step on",
        expected="the name of a step (see --list-steps)",
    )
    stop_step: str | None = run(
        "--stop-step STEP",
        None,
        "stop after this step",
        expected="the name of a step (see --list-steps)",
    )
    force: bool = run("--force", False, "run every step again")

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, given: Any, check: ModelWrapValidatorHandler[BuildConfig]) -> BuildConfig:
        try:
            return check(given)
        except ValidationError as error:
            raise UserError(fault(error, options_of(BuildConfig), WITHOUT_EFFECT)) from None

    def validate(self) -> BuildConfig:
        """Check every field and return a copy with the defaults filled in.

        ``output_dir`` (absolute), ``fpga_part`` and ``synth_clk_period_ns`` are set, and ``model``,
        ``data`` and ``folding_config_file`` absolute where they are files. Raises UserError, which
        names the field that is not what it should be, or ToolMissing.
        """
        given = dataclasses.replace(self)  # checks what was set since the object was made
        given._check_board()
        if given.input_scale is not None and given.input_quant is None:
            raise UserError("input_scale needs input_quant: say to which type, e.g. INT8")
        if given.force and given.start_step is not None:
            raise UserError("force runs every step, start_step only the later ones: leave one out")
        if given.synth_clk_period_ns is None:
            given.synth_clk_period_ns = given.target.clock_ns
        given._check_clock()
        given._check_used()
        given.fpga_part = given.target.part
        given.model = find_model(given.model)
        given.data = find_data(given.data)
        _check_class_names(given.class_names)
        given.folding_config_file = find_folding(given.folding_config_file)
        if given.golden is not None:
            given.golden = existing_file("expected integers", given.golden)
        if given.chipdb is not None:
            given.chipdb = existing_file("chip database", given.chipdb)
        inputs = (given.model_file, given.data, given.folding_config_file, given.golden)
        given.output_dir = find_output_dir(given.output_dir or given.default_out, inputs)
        given._check_tools()
        return given

    @property
    def board_spec(self) -> AnyBoard:
        """The board's description; UserError if none is given, or there is none of that name."""
        if self.board is None:
            raise UserError(
                "no board given: expected a name, e.g. Pynq-Z1, which --list-boards has, or a part"
            )
        return load_board(self.board)

    @property
    def target(self) -> Target:
        """The device: the board's, or the part; UserError if neither is given."""
        if self.board is None and self.fpga_part is not None:
            return part_target(self.fpga_part)
        return board_target(self.board_spec)

    @property
    def makes_overlay(self) -> bool:
        """Whether the build delivers what a board's host needs."""
        return self.board is not None and self.package in (None, "pynq", "both")

    @property
    def makes_zynq_project(self) -> bool:
        """Whether the build delivers what Vivado makes a bitfile from."""
        return self.makes_overlay and not isinstance(self.board_spec, OpenBoard)

    @property
    def makes_ip(self) -> bool:
        """Whether the build delivers the parallel core."""
        return self.package in ("ip", "both") or (self.board is None and self.package is None)

    @property
    def clock_ns(self) -> float:
        """The clock period in ns; set once the configuration is validated."""
        if self.synth_clk_period_ns is None:
            raise ValueError("call validate() first")
        return float(self.synth_clk_period_ns)

    @property
    def planned_ns(self) -> float:
        """The clock period in ns that sparse layers are pipelined for."""
        return self.clock_ns if self.plan_ns is None else float(self.plan_ns)

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
    def class_names(self) -> tuple[str, ...] | None:
        """The classes of the data in the order of the model's outputs, or None."""
        if self.classes is None:
            return None
        return tuple(name.strip() for name in self.classes.split(","))

    @property
    def default_out(self) -> Path:
        """The build folder where none is given, relative to the present folder."""
        return Path("build") / f"{self.model_name}_{self.board or self.fpga_part}"

    @property
    def out(self) -> Path:
        """The folder that the build fills; set once the configuration is validated.

        A step may get another one than ``output_dir``: the next build of a finished folder grows
        apart from it.
        """
        working: Path | None = self.__dict__.get("_out")
        if working is not None:
            return working
        if self.output_dir is None:
            raise ValueError("call validate() first")
        return Path(self.output_dir)

    @property
    def progress(self) -> ProgressCallback:
        """``cfg.progress(done, total, what)``: lets a step report how far it has come.

        The runner points it at the terminal; the call costs little and may be made at any rate.
        """
        report: ProgressCallback = self.__dict__.get("_progress", no_progress)
        return report

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

    def view(self, progress: ProgressCallback, scratch: Path, out: Path) -> BuildConfig:
        """Return a copy for one step, which notes the fields that the step reads (`reads`)."""
        view = copy.copy(self)
        view.__dict__["_progress"] = progress
        view.__dict__["_reads"] = set()
        view.__dict__["_scratch"] = scratch
        view.__dict__["_out"] = out
        view.__class__ = _View
        return view

    @property
    def reads(self) -> list[str]:
        """The fields that have been read of a view, in alphabetical order."""
        return sorted(self.__dict__["_reads"])

    def field_digests(self) -> dict[str, Any]:
        """Return what each field stands for: contents of files, values of the others."""
        return {
            item.name: self._field_digest(item.name)
            for item in OPTIONS
            if item.name not in RUN_FIELDS
        }

    def environment(self) -> dict[str, Any]:
        """Return what decides results beside the fields: sources and versions."""
        return {"sources": fp.source_digest(), "versions": fp.versions()}

    def to_json(self) -> str:
        """Return the fields as a JSON object; every JSON file is a YAML file too."""
        return json.dumps(dataclasses.asdict(self), default=str, indent=2)

    @classmethod
    def from_yaml(cls, text: str) -> BuildConfig:
        """Return the configuration that a YAML or JSON text describes, as `to_json` writes it."""
        return cls(**yaml.safe_load(text))

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

    def _check_board(self) -> None:
        if self.board is None and self.fpga_part is not None:
            part_target(self.fpga_part)
            needing = (("--bitfile", self.bitfile), ("--route", self.route), *self._for_boards)
            wants = [word for word, given in needing if given]
            if wants:
                raise UserError(
                    f"{wants[0]} needs a board with its processing system, and there is only the "
                    f"part {self.fpga_part}: give --board, or leave it out"
                )
            return
        board = self.board_spec
        if self.fpga_part not in (None, board.part):
            raise UserError(
                f"fpga_part {self.fpga_part}: {board.name} carries {board.part}; leave it out, "
                f"or describe the other board in board_configs/"
            )

    @property
    def processor_mhz(self) -> float | None:
        """The clock in MHz that the board's processor should make; None where it makes none.

        Its PLL is divided by an integer, so it may be slower than the one asked for.
        """
        board = self.board_spec if self.makes_overlay else None
        return board.fabric_mhz(self.clock_ns) if isinstance(board, Board) else None

    def _check_clock(self) -> None:
        made, asked = self.processor_mhz, 1000 / self.clock_ns
        if made is not None and made > asked and not same_clock(made, asked):
            raise UserError(
                f"--clock-ns {self.clock_ns:g}: the slowest clock that the processor of "
                f"{self.board} makes is {made:.3f} MHz; give {floor_ns(made):g} ns or less"
            )

    def _check_used(self) -> None:
        """Refuse what only has a meaning beside another option that was not given."""
        open_board = self.board is not None and isinstance(self.board_spec, OpenBoard)
        placed = self.route or (self.bitfile and open_board)
        wants = (
            (f"--seeds {self.seeds}", self.seeds > 1 and not placed, "--route"),
            ("--chipdb", self.chipdb is not None and not self.route, "--route"),
            ("--clock-enable", self.clock_enable and not self.makes_ip, "--package ip"),
            ("--cells generic", self.cells == "generic" and not self.makes_ip, "--package ip"),
        )
        for word, idle, needed in wants:
            if idle:
                raise UserError(f"{word} changes nothing without {needed}: add it, or leave it out")
        if open_board and self.chipdb is not None:
            raise UserError(
                f"--chipdb: the package that places {self.board} has its own database: leave it out"
            )

    @property
    def _for_boards(self) -> tuple[tuple[str, bool], ...]:
        return tuple((f"--package {word}", self.package == word) for word in ("pynq", "both"))

    def _check_tools(self) -> None:
        """Look for the programs that the build will call."""
        if self.synth == "vivado" and shutil.which("vivado") is None:
            raise UserError(
                "synth vivado: there is no `vivado` on the search path; choose yosys, or put "
                "Vivado's bin folder on the path"
            )
        board = None if self.board is None else self.board_spec
        open_board = isinstance(board, OpenBoard)
        if isinstance(board, OpenBoard):
            from finn_builds.config import open_route

            placed = self.route or self.bitfile
            if placed or self.makes_overlay:
                open_route.board_clock(board, self.clock_ns)
            if placed:
                open_route.installed_version(open_route.board_router(board))
                open_route.check_pins(board)
        if self.route and not open_board:
            from finn_builds.config.second_opinion import second_opinion

            second_opinion(self.target, self.chipdb)
        if self.bitfile and not open_board and shutil.which("vivado") is None:
            raise UserError(
                "--bitfile needs `vivado` on the search path, and there is none: build without "
                f"--bitfile, take {self.out}/vivado.zip to a machine with Vivado (2020.2 or newer) "
                "and follow vivado/README.md in it"
            )
        if self.stop_step is None:
            require("g++")


#: Every option, in the order of the command line.
OPTIONS = options_of(BuildConfig)

#: Fields that say how to run, not what to build: they are in no step's key.
RUN_FIELDS = frozenset({"output_dir", *(item.name for item in OPTIONS if item.group == RUN)})

#: All that may differ between two builds.
KEY_FIELDS = frozenset(item.name for item in OPTIONS) - RUN_FIELDS


def _check_class_names(names: tuple[str, ...] | None) -> None:
    for name in names or ():
        if not name or names is None or names.count(name) > 1:
            fault = f"the name {name!r} twice" if name else "an empty name"
            raise UserError(
                f"classes (--classes): expected different names, separated by commas, found {fault}"
            )


class _View(BuildConfig):
    """A configuration that notes what is read of it."""

    def __getattribute__(self, name: str) -> Any:
        if name in KEY_FIELDS:
            object.__getattribute__(self, "__dict__")["_reads"].add(name)
        return super().__getattribute__(name)
