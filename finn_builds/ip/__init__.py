"""The package for an existing firmware project: core, VHDL, test benches, model in C++, figures."""

from finn_builds.ip.package import IpReport, package_files, vectors_text
from finn_builds.ip.ports import PortRow, port_rows

__all__ = [
    "IpReport",
    "PortRow",
    "package_files",
    "port_rows",
    "vectors_text",
]
