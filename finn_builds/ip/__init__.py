"""The package for an existing firmware project: core, VHDL, test benches, model in C++, figures."""

from finn_builds.ip.package import IpReport, package_files, vectors_text, write_zip

__all__ = ["IpReport", "package_files", "vectors_text", "write_zip"]
