"""The folder that goes to Vivado with ``stitched_ip/``: script, the shell's sources, what to do."""

from __future__ import annotations

from pathlib import Path

from finn_builds.config.zynq_boards import Board
from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import TOP, shell_files, shell_sources
from finn_builds.vivado.block_design import ACCELERATOR, accelerator_wrapper
from finn_builds.vivado.script import BIT, BUILD_SCRIPT, FACTS, HWH, LATE_BIT, RESULT, build_tcl

__all__ = ["how_to_run", "project_files", "write_project"]

#: Device families that the free edition of Vivado (ML Standard) has, by prefix of the part.
_FREE = (
    "xc7z007", "xc7z010", "xc7z012", "xc7z014", "xc7z015", "xc7z020", "xc7z030",
    "xczu1cg", "xczu1eg", "xczu2cg", "xczu2eg", "xczu3cg", "xczu3eg", "xczu4cg", "xczu4eg",
    "xczu4ev", "xczu5cg", "xczu5eg", "xczu5ev", "xczu7cg", "xczu7eg", "xczu7ev", "xck26",
)  # fmt: skip


#: What the vendor's blocks beside the shell take. A SmartConnect with one master and one slave took
#: 910 LUTs and 904 registers on Zynq-7000 in Vivado 2023.1 (analogdevicesinc/hdl, pull request
#: 1054); the one to the memory has two masters. The one to the registers has AXI4-Lite slaves alone
#: and so its low-area form (PG247), of which no figure was found.
INTERCONNECT = "1,500 to 2,500 LUTs"


def how_to_run(folder: str) -> str:
    """Return the commands for Linux that make the bitfile in a build folder, as lines of text."""
    return (
        f"    cd {folder}/vivado\n"
        f"    vivado -mode batch -source {BUILD_SCRIPT}\n"
        "    mkdir -p ../deploy/bitfile\n"
        f"    cp {RESULT}/{BIT} {RESULT}/{HWH} {RESULT}/{FACTS} ../deploy/bitfile/\n"
    )


def needs_licence(board: Board) -> bool:
    """Tell whether the board's device is outside the free edition of Vivado."""
    return not board.part.startswith(_FREE)


def _readme(board: Board, clock_ns: float) -> str:
    edition = (
        "needs a licensed edition (Enterprise): the free one has not this device"
        if needs_licence(board)
        else "is enough in its free edition (ML Standard) with this device family installed"
    )
    files = (
        f"The newest board files of `{board.board_part}` (from *Vivado > Tools > Vivado Store > "
        "Boards* or the maker) are used if any are installed, and not needed for a PYNQ overlay: "
        "the boot image has set up PLLs, DDR and pins before. The script says which it has taken."
        if board.board_part
        else "No board files are needed."
    )
    asked = 1000 / clock_ns
    made = board.fabric_mhz(clock_ns)
    return f"""\
# Bitfile for {board.name}

Vivado {edition}. {files}

`{BUILD_SCRIPT}` and `sources/` need `../stitched_ip/` beside this folder and nothing else. On
the machine that has Vivado, with both folders copied there:

{how_to_run(".")}
On Windows put both folders into a short path such as `C:\\b`, without blanks: Vivado makes long
paths, and Windows takes 260 characters. Then, in a command prompt, with this Vivado's
`settings64.bat` run before:

    chdir /d C:\\b\\vivado
    vivado -mode batch -source {BUILD_SCRIPT}

and copy the three files as below; `scp` is a part of Windows 10 and 11.

The three files belong into `bitfile/` of the deployment package: the bitfile, its description for
PYNQ, and the clock, board files and timing that the driver and a reader need. Where `vivado` is on
the search path, `build.py --bitfile` does all this by itself.

What to look at afterwards:

- **Clock.** {asked:.3f} MHz are asked for. The processor divides its PLL of {board.pll.mhz:.3f} MHz
  by an integer, so {made:.3f} MHz are expected. The script prints what Vivado says, and stops if
  the processor makes only faster clocks than the one asked for.
- **Timing.** A design that misses it leaves `{LATE_BIT}`
  instead of `{BIT}`, so that its copy fails. `{RESULT}/worst_paths.rpt` has the ten
  worst paths; build again with a longer `--clock-ns`.
- **Errors.** The script prints the errors of the run that failed, and where its log lies.
- `{RESULT}/` also has the resources by instance, clocks, Vivado's methodology checks, and the
  address map.

`set as_cells 1` near the beginning of the script makes Vivado build the adders and tables of
sparse layers from the LUTs and carry chains that the build has simulated, instead of finding its
own. Expected to be larger and slower, and not measured.

Beside accelerator and shell the design has two SmartConnects and a reset block. Expected for them:
{INTERCONNECT}. Not measured.

This script has never been run in Vivado: it was executed against a model of Vivado's commands.
"""


def project_files(spec: ShellSpec, board: Board, *, clock_ns: float) -> dict[str, str]:
    """Return the text of every file by name relative to the folder."""
    files = {
        BUILD_SCRIPT: build_tcl(spec, board, clock_ns=clock_ns),
        "README.md": _readme(board, clock_ns),
        f"sources/{ACCELERATOR}.v": accelerator_wrapper(spec),
    }
    for path in shell_sources():
        files[f"sources/{path.name}"] = path.read_text(encoding="utf-8")
    for name, text in shell_files(spec).items():
        if name != f"{TOP}.v":  # the block design joins the blocks
            files[f"sources/{name}"] = text
    return files


def write_project(folder: Path, spec: ShellSpec, board: Board, *, clock_ns: float) -> None:
    """Write the folder, beside ``stitched_ip/``."""
    for name, text in project_files(spec, board, clock_ns=clock_ns).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
