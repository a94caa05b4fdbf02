"""IP-XACT descriptions, with which designs drop into Vivado's IP catalogue.

IEEE 1685-2009, with the bus definitions of the vendor's catalogue. The stitched design has
AXI4-Stream in and out, clock and reset with their associations; the parallel core has plain ports.
The file set names the sources relative to the file itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

__all__ = ["COMPONENT_FILE", "component_xml", "parallel_component_xml"]

COMPONENT_FILE = "component.xml"

_IDENTITY = ("vendor", "library", "name", "version")
_VLNV = ("prunestream", "finn", "finn_design", "1.0")  # of the core

_SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_XILINX = "http://www.xilinx.com"

_FAMILIES = ("zynq", "zynquplus", "zynquplusRFSOC")
#: Of a core for any part, by the catalogue's names.
_ALL_FAMILIES = (
    *("artix7", "kintex7", "virtex7", "spartan7", "kintexu", "virtexu", "artixuplus"),
    *("kintexuplus", "virtexuplus", "virtexuplusHBM", *_FAMILIES),
)

# Views: name, and what the tool calls it; each has a file set after its name.
_VIEWS = (
    ("xilinx_verilogsynthesis", "verilogSource:vivado.xilinx.com:synthesis"),
    ("xilinx_verilogbehavioralsimulation", "verilogSource:vivado.xilinx.com:simulation"),
)

_FILE_TYPES = {".v": "verilogSource", ".sv": "systemVerilogSource"}


def _add(
    parent: ElementTree.Element, name: str, text: str | None = None, namespace: str = _SPIRIT
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{namespace}}}{name}")
    element.text = text
    return element


def _reference(parent: ElementTree.Element, name: str, vlnv: tuple[str, str, str, str]) -> None:
    element = _add(parent, name)
    for part, value in zip(_IDENTITY, vlnv, strict=True):
        element.set(f"{{{_SPIRIT}}}{part}", value)


def _interface(
    parent: ElementTree.Element,
    name: str,
    kind: tuple[str, str],
    ports: Mapping[str, str],
    parameters: Mapping[str, str],
) -> None:
    """Add a bus interface; `ports` maps the bus' signals to the component's ports."""
    library, bus = kind
    element = _add(parent, "busInterface")
    _add(element, "name", name)
    _reference(element, "busType", ("xilinx.com", library, bus, "1.0"))
    _reference(element, "abstractionType", ("xilinx.com", library, f"{bus}_rtl", "1.0"))
    _add(element, "master" if name.startswith("m_") else "slave")
    maps = _add(element, "portMaps")
    for logical, physical in ports.items():
        pair = _add(maps, "portMap")
        _add(_add(pair, "logicalPort"), "name", logical)
        _add(_add(pair, "physicalPort"), "name", physical)
    if parameters:
        listed = _add(element, "parameters")
        for key, value in parameters.items():
            parameter = _add(listed, "parameter")
            _add(parameter, "name", key)
            _add(parameter, "value", value).set(
                f"{{{_SPIRIT}}}id", f"BUSIFPARAM_VALUE.{name.upper()}.{key}"
            )


def _port(parent: ElementTree.Element, name: str, direction: str, bits: int | None) -> None:
    element = _add(parent, "port")
    _add(element, "name", name)
    wire = _add(element, "wire")
    _add(wire, "direction", direction)
    if bits is not None:
        vector = _add(wire, "vector")
        _add(vector, "left", str(bits - 1))
        _add(vector, "right", "0")
    kind = _add(_add(wire, "wireTypeDefs"), "wireTypeDef")
    _add(kind, "typeName", "wire")
    for view, _ in _VIEWS:
        _add(kind, "viewNameRef", view)


#: A port: name, direction, bits or None for a single wire.
_Port = tuple[str, str, int | None]


def _stream_ports(in_bits: int, out_bits: int) -> list[_Port]:
    ports: list[_Port] = [("ap_clk", "in", None), ("ap_rst_n", "in", None)]
    for name, bits, inward in (("s_axis_0", in_bits, True), ("m_axis_0", out_bits, False)):
        with_data, against = ("in", "out") if inward else ("out", "in")
        ports.append((f"{name}_tdata", with_data, bits))
        ports.append((f"{name}_tvalid", with_data, None))
        ports.append((f"{name}_tready", against, None))
    return ports


def _model(root: ElementTree.Element, top: str, named: Sequence[_Port]) -> None:
    model = _add(root, "model")
    views = _add(model, "views")
    for name, environment in _VIEWS:
        view = _add(views, "view")
        _add(view, "name", name)
        _add(view, "envIdentifier", environment)
        _add(view, "language", "verilog")
        _add(view, "modelName", top)
        _add(_add(view, "fileSetRef"), "localName", f"{name}_view_fileset")
    ports = _add(model, "ports")
    for name, direction, bits in named:
        _port(ports, name, direction, bits)


def _file_sets(root: ElementTree.Element, sources: Sequence[str], data: Sequence[str]) -> None:
    sets = _add(root, "fileSets")
    for name, _ in _VIEWS:
        file_set = _add(sets, "fileSet")
        _add(file_set, "name", f"{name}_view_fileset")
        for file in (*data, *sources):
            element = _add(file_set, "file")
            _add(element, "name", file)
            kind = _FILE_TYPES.get(file[file.rfind(".") :])
            _add(element, "fileType" if kind else "userFileType", kind or "data")


def _parameters(root: ElementTree.Element, name: str, version: str) -> None:
    """Add the parameter that cores packaged by Vivado have: the name of what is made of one."""
    parameter = _add(_add(root, "parameters"), "parameter")
    _add(parameter, "name", "Component_Name")
    value = _add(parameter, "value", f"{name}_v{version.replace('.', '_')}")
    for key, given in (
        ("resolve", "user"),
        ("id", "PARAM_VALUE.Component_Name"),
        ("order", "1"),
    ):
        value.set(f"{{{_SPIRIT}}}{key}", given)


def _vendor_extensions(
    root: ElementTree.Element, shown: str = "Streaming MLP", offered: Sequence[str] = _FAMILIES
) -> None:
    """Add what Vivado's catalogue shows and the families it offers the core for."""
    extensions = _add(_add(root, "vendorExtensions"), "coreExtensions", None, _XILINX)
    families = _add(extensions, "supportedFamilies", None, _XILINX)
    for name in offered:
        _add(families, "family", name, _XILINX).set(f"{{{_XILINX}}}lifeCycle", "Production")
    _add(_add(extensions, "taxonomies", None, _XILINX), "taxonomy", "/UserIP", _XILINX)
    _add(extensions, "displayName", shown, _XILINX)
    _add(extensions, "coreRevision", "1", _XILINX)


def component_xml(
    top: str, *, in_bytes: int, out_bytes: int, sources: Sequence[str], data: Sequence[str] = ()
) -> str:
    """Return the text of ``component.xml``.

    The top module has ``ap_clk``, ``ap_rst_n``, ``s_axis_0_*`` and ``m_axis_0_*``, the two streams
    (TDATA) of `in_bytes` and `out_bytes`. `sources`, in compile order, and `data`, the memory
    contents they read, are relative to the component.
    """
    root = _root(_VLNV)
    buses = _add(root, "busInterfaces")
    for name in ("s_axis_0", "m_axis_0"):
        ports = {f"T{x.upper()}": f"{name}_t{x}" for x in ("data", "valid", "ready")}
        _interface(buses, name, ("interface", "axis"), ports, {})
    associated = {"ASSOCIATED_BUSIF": "s_axis_0:m_axis_0", "ASSOCIATED_RESET": "ap_rst_n"}
    _interface(buses, "ap_clk", ("signal", "clock"), {"CLK": "ap_clk"}, associated)
    low = {"POLARITY": "ACTIVE_LOW"}
    _interface(buses, "ap_rst_n", ("signal", "reset"), {"RST": "ap_rst_n"}, low)
    _model(root, top, _stream_ports(8 * in_bytes, 8 * out_bytes))
    _file_sets(root, sources, data)
    _add(root, "description", "Quantised multilayer perceptron with AXI-Stream in and out")
    _parameters(root, *_VLNV[2:])
    _vendor_extensions(root)
    return _text(root)


def parallel_component_xml(
    name: str, ports: Sequence[tuple[str, str, int | None]], sources: Sequence[str]
) -> str:
    """Return the text of ``component.xml`` of a core with plain ports.

    `ports` are (name, direction ``in`` or ``out``, bits or None for a single wire); among them are
    ``clk`` and ``rst``, active high.
    """
    version = "1.0"
    root = _root(("prunestream", "trigger", name, version))
    buses = _add(root, "busInterfaces")
    reset = {"ASSOCIATED_RESET": "rst"}
    _interface(buses, "clk", ("signal", "clock"), {"CLK": "clk"}, reset)
    high = {"POLARITY": "ACTIVE_HIGH"}
    _interface(buses, "rst", ("signal", "reset"), {"RST": "rst"}, high)
    _model(root, name, ports)
    _file_sets(root, sources, ())
    _add(root, "description", "Quantised network with parallel ports and a fixed latency")
    _parameters(root, name, version)
    _vendor_extensions(root, f"Network {name}", _ALL_FAMILIES)
    return _text(root)


def _root(identity: tuple[str, str, str, str]) -> ElementTree.Element:
    ElementTree.register_namespace("spirit", _SPIRIT)
    ElementTree.register_namespace("xilinx", _XILINX)
    root = ElementTree.Element(f"{{{_SPIRIT}}}component")
    for part, value in zip(_IDENTITY, identity, strict=True):
        _add(root, part, value)
    return root


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
