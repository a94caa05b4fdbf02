"""What cocotb runs inside Icarus: the shells under bus models that others wrote.

``test_bus_models.py`` starts it and leaves the case in ``case.json``. The masters, the memory and
the line are those of cocotbext-axi and cocotbext-uart; nothing of this project's bench is used, so
a wrong belief about AXI that both the RTL and its bench hold would show here.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiRamWrite,
    AxiReadBus,
    AxiWriteBus,
)
from cocotbext.uart import UartSink, UartSource

CASE = json.loads(Path("case.json").read_text())
PERIOD_NS = 10
MEMORY = 1 << 14
START, DONE, ADDRESS, FRAMES, STATUS = 0x00, 0x06, 0x10, 0x1C, 0x20


def summed(frame: bytes) -> bytes:
    """Return what the accelerator of the tests gives for a frame."""
    return bytes((sum(frame) + i) & 0xFF for i in range(CASE["out_frame_bytes"]))


def pauses(rng: random.Random):
    """Yield a random pattern of waiting, now dense and now sparse."""
    while True:
        share = rng.choice((0.0, 0.3, 0.9))
        for _ in range(rng.randint(1, 60)):
            yield rng.random() < share


class Shell:
    """The shell with a master at each block's registers and one memory behind both DMAs."""

    def __init__(self, dut, rng: random.Random) -> None:
        self.dut = dut
        reset = {"reset": dut.ap_rst_n, "reset_active_level": False}
        self.block = {
            name: AxiLiteMaster(AxiLiteBus.from_prefix(dut, f"s_axi_{name}"), dut.ap_clk, **reset)
            for name in ("idma0", "odma0", "control0")
        }
        reads = AxiRamRead(
            AxiReadBus.from_prefix(dut, "m_axi_idma0"), dut.ap_clk, size=MEMORY, **reset
        )
        writes = AxiRamWrite(
            AxiWriteBus.from_prefix(dut, "m_axi_odma0"), dut.ap_clk, mem=reads.mem, size=MEMORY,
            **reset,
        )  # fmt: skip
        self.memory = reads
        channels = [reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel]
        channels.append(writes.b_channel)
        for master in self.block.values():
            write, read = master.write_if, master.read_if
            channels += [write.aw_channel, write.w_channel, write.b_channel]
            channels += [read.ar_channel, read.r_channel]
        for channel in channels:
            channel.set_pause_generator(pauses(rng))

    async def start(self) -> None:
        cocotb.start_soon(Clock(self.dut.ap_clk, PERIOD_NS, unit="ns").start())
        self.dut.ap_rst_n.value = 0
        await ClockCycles(self.dut.ap_clk, 5)
        self.dut.ap_rst_n.value = 1
        await ClockCycles(self.dut.ap_clk, 5)

    async def run(self, frames: int, source: int, target: int) -> None:
        """Start both DMAs as a driver does and wait until both are done."""
        for name, at in (("odma0", target), ("idma0", source)):
            dma = self.block[name]
            await dma.write_dword(ADDRESS, at)
            await dma.write_dword(ADDRESS + 4, 0)
            await dma.write_dword(FRAMES, frames)
            await dma.write_dword(START, 1)
        for name in ("odma0", "idma0"):
            while not await self.block[name].read_dword(START) & 2:
                await ClockCycles(self.dut.ap_clk, 10)
            assert await self.block[name].read_dword(START) == DONE
            assert await self.block[name].read_dword(STATUS) == 0


@cocotb.test(skip=CASE["shell"] != "axi")
async def frames_go_through_memory(dut):
    """Every byte of memory, at odd addresses, with every channel stalling at random."""
    rng = random.Random(CASE["seed"])
    shell = Shell(dut, rng)
    await shell.start()
    into, out = CASE["in_frame_bytes"], CASE["out_frame_bytes"]
    done = 0
    for frames in (1, 2, 7, 24, 0, 3):
        source = rng.randrange(MEMORY // 2 - frames * into)
        target = rng.randrange(MEMORY // 2, MEMORY - frames * out)
        content = bytearray(rng.randbytes(MEMORY))
        shell.memory.write(0, bytes(content))
        await with_timeout(shell.run(frames, source, target), 5, "ms")
        for i in range(frames):
            frame = bytes(content[source + i * into :][:into])
            content[target + i * out : target + (i + 1) * out] = summed(frame)
        found = bytes(shell.memory.read(0, MEMORY))
        wrong = next((i for i in range(MEMORY) if found[i] != content[i]), None)
        assert wrong is None, f"{frames} frames: byte {wrong:#x}"
        done += frames
        control = shell.block["control0"]
        assert await control.read_dword(0x08) == done, "frames begun"
        assert await control.read_dword(0x0C) == done, "frames completed"


@cocotb.test(skip=CASE["shell"] != "axi")
async def registers_take_single_bytes(dut):
    """Writes of any length at any byte change these bytes alone, and all are answered OKAY."""
    rng = random.Random(CASE["seed"])
    shell = Shell(dut, rng)
    await shell.start()
    for name in ("idma0", "odma0"):
        dma = shell.block[name]
        for at in (ADDRESS, FRAMES):
            await dma.write_dword(at, 0)
            expected = bytearray(4)
            for _ in range(12):
                first = rng.randrange(4)
                data = rng.randbytes(rng.randint(1, 4 - first))
                answer = await dma.write(at + first, data)
                assert answer.resp == 0
                expected[first : first + len(data)] = data
                assert bytes((await dma.read(at, 4)).data) == bytes(expected)
    assert await shell.block["control0"].read_dword(0x04) == 0x50535331
    # An address that no register has is read and written without an error too.
    assert (await shell.block["control0"].write(0x7C, b"\0\0\0\0")).resp == 0


def crc16(data: bytes) -> int:
    """Return the line's checksum (polynomial 0x1021, begins with all ones)."""
    crc = 0xFFFF
    for bit in itertools.chain.from_iterable(
        ((b >> i) & 1 for i in range(7, -1, -1)) for b in data
    ):
        crc = ((crc << 1) & 0xFFFF) ^ (0x1021 if (crc >> 15) ^ bit else 0)
    return crc


@cocotb.test(skip=CASE["shell"] != "uart")
async def packets_go_over_the_line(dut):
    """Frames in packets at a rate that is off by 1.5 %, with broken packets between them."""
    rng = random.Random(CASE["seed"])
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
    dut.rx.value = 1
    dut.rst_n.value = 0
    await ClockCycles(dut.clk, 5)
    dut.rst_n.value = 1
    source = UartSource(dut.rx, baud=round(CASE["baud"] * CASE["error"]), bits=8)
    sink = UartSink(dut.tx, baud=CASE["baud"], bits=8)

    async def answer(size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            got += await with_timeout(sink.read(1), 3, "ms")
        return bytes(got)

    async def ask(kind: str, number: int, payload: bytes, expected: int) -> tuple[int, bytes]:
        body = kind.encode() + bytes([number]) + len(payload).to_bytes(2, "little") + payload
        await source.write(b"\xa5" + body + crc16(body).to_bytes(2, "little"))
        got = await answer(8 + expected)
        assert got[0] == 0x5A
        assert got[2] == number
        assert crc16(got[1:-2]) == int.from_bytes(got[-2:], "little")
        return got[3], got[6:-2]

    into, out = CASE["in_frame_bytes"], CASE["out_frame_bytes"]
    status, identity = await ask("I", 0, b"", CASE["identity_bytes"])
    assert identity.startswith(b"PSU2")
    for turn, frames in enumerate((1, 3, CASE["frames"], 2)):
        data = rng.randbytes(frames * into)
        status, found = await ask("R", turn + 1, data, frames * out)
        assert status >> 1 == 0
        assert found == b"".join(summed(data[i * into :][:into]) for i in range(frames))
        # Half a packet, then silence: the next one is understood again.
        await source.write(b"\xa5R" + rng.randbytes(3))
        await source.wait()
        await ClockCycles(dut.clk, CASE["idle_clocks"] + 100)
        sink.clear()
