"""A hardware handoff, ``.hwh``, in the form that pynq reads, made from a block design.

Vivado writes this file and is not here. The block design is what the project's own script makes of
it, as the recorder of Vivado's commands writes it down: cells, properties, nets, interfaces. The
file's form is that of Vivado's, as pynq's parser (``pynqmetadata.frontends.hwh_frontend``) takes
it. Addresses are those that Vivado gives to the first slaves of these ports.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as XML

from finn_builds.shell.spec import ShellSpec
from finn_builds.shell.top import shell_files
from finn_builds.vivado.block_design import accelerator_wrapper

# Where a port's window begins (UG585 table 4-1; UG1085 table 10-1), and the names of the clock's
# parameters (PG082; PG201).
FIRST_ADDRESS = {"M_AXI_GP0": 0x4000_0000, "M_AXI_HPM0_FPD": 0xA000_0000}
SLAVE_BYTES = 0x1_0000
ZYNQ, ULTRASCALE = "processing_system7", "zynq_ultra_ps_e"
CLOCKS = {
    ZYNQ: {
        "enable": "PCW_FPGA_FCLK{}_ENABLE",
        "divisor0": "PCW_FCLK{}_PERIPHERAL_DIVISOR0",
        "divisor1": "PCW_FCLK{}_PERIPHERAL_DIVISOR1",
        "mhz": "PCW_ACT_FPGA{}_PERIPHERAL_FREQMHZ",
        "source": "PCW_FCLK{}_PERIPHERAL_CLKSRC",
    },
    ULTRASCALE: {
        "enable": "PSU__FPGA_PL{}_ENABLE",
        "divisor0": "PSU__CRL_APB__PL{}_REF_CTRL__DIVISOR0",
        "divisor1": "PSU__CRL_APB__PL{}_REF_CTRL__DIVISOR1",
        "mhz": "PSU__CRL_APB__PL{}_REF_CTRL__ACT_FREQMHZ",
        "source": "PSU__CRL_APB__PL{}_REF_CTRL__SRCSEL",
    },
}
SOURCE = {ZYNQ: "IO PLL", ULTRASCALE: "IOPLL"}
STREAM, MEMORY = "xilinx.com:interface:axis:1.0", "xilinx.com:interface:aximm:1.0"
# The signals of an interface of the processor or of a SmartConnect, whose ports have no text here.
SIGNALS = {
    MEMORY: "AWADDR AWVALID AWREADY WDATA WSTRB WVALID WREADY BRESP BVALID BREADY ARADDR ARVALID "
    "ARREADY RDATA RRESP RVALID RREADY",
    STREAM: "TDATA TVALID TREADY",
}
FROM_MASTER = re.compile(r"(A[WR](?!READY)|W(?!READY)|BREADY|RREADY|T(?!READY))")


def handoff(
    record: Sequence[str], spec: ShellSpec, *, divisors: tuple[int, int], mhz: float
) -> str:
    """Return the file's text for a recorded block design.

    `divisors` and `mhz` are those of its clock as the processor's configuration has them.
    """
    lines = [line.split() for line in record]
    cells = {words[1]: words[2] for words in lines if words[0] == "cell"}
    interfaces = [(words[1], words[2]) for words in lines if words[0] == "interface"]
    nets = [(words[1], words[2]) for words in lines if words[0] == "net"]
    properties = [words[1:] for words in lines if words[0] == "property"]
    ports = _module_ports(spec)

    root = XML.Element("EDKSYSTEM", EDWVERSION="1.2", VIVADOVERSION="2024.1")
    XML.SubElement(root, "SYSTEMINFO", NAME="top")
    XML.SubElement(root, "EXTERNALPORTS")
    XML.SubElement(root, "EXTERNALINTERFACES")
    modules = XML.SubElement(root, "MODULES")
    for cell, reference in cells.items():
        library, kind, version = "module_ref", reference, "1.0"
        if ":" in reference:
            _, library, kind, version = reference.split(":")
        module = XML.SubElement(
            modules,
            "MODULE",
            FULLNAME=f"/{cell}",
            INSTANCE=cell,
            MODTYPE=kind,
            VLNV=f"xilinx.com:{library}:{kind}:{version}",
        )
        parameters = XML.SubElement(module, "PARAMETERS")
        given = {name: value for owner, name, value in properties if owner == cell}
        for i in range(4 if kind in CLOCKS else 0):
            first = {"divisor0": divisors[0], "divisor1": divisors[1], "mhz": mhz, "enable": 1}
            other = {"divisor0": 1, "divisor1": 1, "mhz": 10.0, "enable": 0}
            clock = {**(other if i else first), "source": SOURCE[kind]}
            given |= {name.format(i): str(clock[key]) for key, name in CLOCKS[kind].items()}
        for name, value in given.items():
            XML.SubElement(parameters, "PARAMETER", NAME=name, VALUE=value)
        _add_interfaces(module, cell, ports.get(kind), interfaces, cells, ports)
        _add_nets(module, cell, ports.get(kind), nets)
        if kind in CLOCKS:
            _add_addresses(module, cell, interfaces)
    XML.indent(root)
    return XML.tostring(root, encoding="unicode", xml_declaration=True)


def _module_ports(spec: ShellSpec) -> dict[str, dict[str, str]]:
    """Return direction by port of every module reference, from its Verilog."""
    texts = [*shell_files(spec).values(), accelerator_wrapper(spec)]
    found = {}
    for text in texts:
        name = re.search(r"^module (\w+) \($", text, re.MULTILINE)
        declared = re.findall(r"^\s*(input|output) +wire (?:\[.*?\] )?(\w+)", text, re.MULTILINE)
        found[name[1]] = {port: "I" if way == "input" else "O" for way, port in declared}
    return found


def _signals(cell: str, interface: str, cells: dict, ports: dict, vlnv: str) -> dict[str, str]:
    """Return the physical port of every signal that an interface of a cell has."""
    known = ports.get(cells[cell])
    names = [*SIGNALS[vlnv].split(), "ARLEN", "AWLEN", "RLAST", "WLAST"]
    if known is None:
        return {name: f"{interface}_{name.lower()}" for name in SIGNALS[vlnv].split()}
    physical = {name: f"{interface}_{name.lower()}" for name in names}
    return {name: port for name, port in physical.items() if port in known}


def _add_interfaces(
    module: XML.Element,
    cell: str,
    known: dict[str, str] | None,
    interfaces: list[tuple[str, str]],
    cells: dict,
    ports: dict,
) -> None:
    """Write every connected interface of a cell: its ports, what they meet, and its port map."""
    all_ports = XML.SubElement(module, "PORTS")
    all_interfaces = XML.SubElement(module, "BUSINTERFACES")
    for pair in interfaces:
        for own, other, master in ((pair[0], pair[1], True), (pair[1], pair[0], False)):
            owner, name = own.split("/")
            if owner != cell:
                continue
            partner, partner_name = other.split("/")
            vlnv = STREAM if "axis" in name else MEMORY
            mine = _signals(cell, name, cells, ports, vlnv)
            its = _signals(partner, partner_name, cells, ports, vlnv)
            bus = XML.SubElement(
                all_interfaces,
                "BUSINTERFACE",
                NAME=name,
                TYPE="MASTER" if master else "SLAVE",
                VLNV=vlnv,
                BUSNAME=pair[0].replace("/", "_"),
            )
            maps = XML.SubElement(bus, "PORTMAPS")
            for signal, port in mine.items():
                XML.SubElement(maps, "PORTMAP", LOGICAL=signal, PHYSICAL=port)
                drives = bool(FROM_MASTER.match(signal)) == master
                if known is not None:
                    assert known[port] == ("O" if drives else "I"), f"{cell}/{port}"
                added = XML.SubElement(all_ports, "PORT", NAME=port, DIR="O" if drives else "I")
                if signal in its:
                    meets = XML.SubElement(added, "CONNECTIONS")
                    XML.SubElement(meets, "CONNECTION", INSTANCE=partner, PORT=its[signal])


def _add_nets(
    module: XML.Element, cell: str, known: dict[str, str] | None, nets: list[tuple[str, str]]
) -> None:
    """Write every connected single pin of a cell."""
    all_ports = module.find("PORTS")
    meets: dict[str, list[str]] = {}
    outputs = {source for source, _ in nets}
    for source, sink in nets:
        for own, other in ((source, sink), (sink, source)):
            if own.split("/")[0] == cell:
                meets.setdefault(own, []).append(other)
    for own, others in meets.items():
        name = own.split("/")[1]
        way = "O" if own in outputs else "I"
        if known is not None:
            assert known[name] == way, own
        kind = "clk" if re.search(r"clk", name, re.IGNORECASE) else "undef"
        kind = "rst" if re.search(r"reset|rst", name, re.IGNORECASE) else kind
        port = XML.SubElement(all_ports, "PORT", NAME=name, DIR=way, SIGIS=kind)
        added = XML.SubElement(port, "CONNECTIONS")
        for other in others:
            instance, pin = other.split("/")
            XML.SubElement(added, "CONNECTION", INSTANCE=instance, PORT=pin)


def _add_addresses(module: XML.Element, cell: str, interfaces: list[tuple[str, str]]) -> None:
    """Write the processor's map: the slaves behind the interconnect of its register port."""
    space = XML.SubElement(module, "MEMORYMAP")
    reached = dict(interfaces)
    master = next(own for own in reached if own.startswith(f"{cell}/M_AXI"))
    interconnect = reached[master].split("/")[0]
    slaves = [reached[own] for own in sorted(reached) if own.startswith(f"{interconnect}/M")]
    port = master.split("/")[1]
    for i, slave in enumerate(slaves):
        instance, interface = slave.split("/")
        base = FIRST_ADDRESS[port] + i * SLAVE_BYTES
        XML.SubElement(
            space,
            "MEMRANGE",
            ADDRESSBLOCK="reg0",
            BASEVALUE=f"0x{base:08X}",
            HIGHVALUE=f"0x{base + SLAVE_BYTES - 1:08X}",
            INSTANCE=instance,
            MASTERBUSINTERFACE=port,
            MEMTYPE="REGISTER",
            SLAVEBUSINTERFACE=interface,
        )
