"""One plain Verilog design through Yosys, by any synthesis command."""

import json
from collections.abc import Mapping
from pathlib import Path

from finn_builds import tools
from finn_builds.synth.netlist import Netlist, from_json
from finn_builds.synth.script import NETLIST


def synthesise_verilog(
    files: Mapping[str, str], top: str, command: str, work_dir: Path, *, limit: float | None = None
) -> Netlist:
    """Map Verilog with a command such as ``synth_xilinx -top {top} -flatten``.

    Raises
    ------
    ToolFailed
        Yosys refused the design, or took longer than `limit` seconds (`ToolTimeout`).
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    lines = [f"read_verilog {' '.join(files)}", command.format(top=top), f"write_json {NETLIST}"]
    for name, text in {**files, "synthesis.ys": "\n".join(lines) + "\n"}.items():
        (work_dir / name).write_text(text)
    call = [*tools.yosys_command(), "-q", "-s", "synthesis.ys"]
    tools.run(call, cwd=work_dir, log=work_dir / "output.log", timeout=limit)
    return from_json(json.loads((work_dir / NETLIST).read_text())["modules"][top])
