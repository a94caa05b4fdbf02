"""Proofs of the shell's blocks with yosys-smtbmc and Z3: the rules of AXI4-Lite and of streams."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("z3", reason="the proofs need the z3-solver wheel")

from finn_builds import tools
from tests.finn_builds.shell import proofs

pytestmark = pytest.mark.slow  # seconds each

BLOCKS = {
    "axil_slave": ("shell/axil_slave", proofs.AXIL_SLAVE),
    "dma_registers": ("shell/dma_registers", proofs.DMA_REGISTERS),
    "burst_addresses": ("shell/burst_addresses", proofs.BURST_ADDRESSES),
    "words_to_beats": ("shell/words_to_beats", proofs.WORDS_TO_BEATS),
    "beats_to_words": ("shell/beats_to_words", proofs.BEATS_TO_WORDS),
    "burst_store": ("shell/burst_store", proofs.BURST_STORE),
    "stream_fifo": ("stream_fifo", proofs.STREAM_FIFO),
}
USES = {
    "words_to_beats": ("shell/byte_turn",),
    "beats_to_words": ("shell/byte_turn",),
    "burst_store": ("stream_fifo",),
}
ZYNQ_7000 = {"ADDR_BITS": 32, "WORD_BYTES": 8, "MAX_BURST": 16}
ULTRASCALE = {"ADDR_BITS": 40, "WORD_BYTES": 16, "MAX_BURST": 256}


def widths(word: int, beat: int) -> dict[str, int]:
    return {"WORD_BYTES": word, "BEAT_BYTES": beat}


CASES = [
    ("axil_slave", {}),
    *(("dma_registers", {"ADDR_BITS": bits}) for bits in (32, 40)),
    ("burst_addresses", ZYNQ_7000),
    ("burst_addresses", ULTRASCALE),
    # Beats of one byte, of part of a word, a word and a half, two words, more than two
    *(("words_to_beats", widths(*w)) for w in ((8, 1), (4, 3), (4, 6), (4, 8))),
    *(("beats_to_words", widths(*w)) for w in ((8, 1), (4, 3), (4, 6), (4, 8), (4, 9))),
    *(("burst_store", {"WIDTH": 2, "DEPTH": depth}) for depth in (2, 3, 32)),
    *(("stream_fifo", {"WIDTH": 2, "DEPTH": d, "STYLE": s}) for d, s in ((2, 1), (5, 2), (4, 3))),
]


def prove(
    name: str, parameters: dict[str, int], folder: Path, fault: tuple[str, str] | None = None
) -> None:
    block, claims = BLOCKS[name]
    text = proofs.claimed(block, claims, fault)
    proofs.prove(text, name, folder, parameters=parameters, others=USES.get(name, ()))


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_rules_hold_for_ever(tmp_path: Path, name: str, parameters: dict[str, int]) -> None:
    prove(name, parameters, tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters", "right", "wrong"),
    [
        # An answer that is taken back, one without a request, one too few, acting on no byte
        ("axil_slave", {}, "(bvalid && !bready)", "1'b0"),
        ("axil_slave", {}, "bvalid <= take_write ||", "bvalid <= awvalid ||"),
        ("axil_slave", {}, "arvalid && !rvalid && rst_n", "arvalid && rst_n"),
        ("axil_slave", {}, "take_write && |wstrb;", "take_write;"),
        # A byte that is not written and changes, a start that is none
        ("dma_registers", {}, "if (write_strobe[i]) frames", "frames"),
        ("dma_registers", {}, "write_strobe[(i / 8) % 4] && (i <", "(i <"),
        ("dma_registers", {"ADDR_BITS": 40}, "(i < 32 ? write_low : write_high)", "write_low"),
        ("dma_registers", {}, "write_strobe[0] && write_data[0]", "write_data[0]"),
        # A burst that crosses 4 KiB, one that changes, one word too many
        ("burst_addresses", ZYNQ_7000, "last_word : '1) - first", "last_word : '1)"),
        ("burst_addresses", ULTRASCALE, "more && (!valid || ready)", "more"),
        ("burst_addresses", ULTRASCALE, "ADDR_BITS'(span);", "ADDR_BITS'(span) + 1'b1;"),
        # Bytes lost, turned too far, offered too early
        ("words_to_beats", widths(4, 3), "- COUNT_BITS'(skip)", ""),
        ("words_to_beats", widths(4, 8), "= LANE_BITS'(WORD_BYTES) - skip", "= '0"),
        ("words_to_beats", widths(4, 6), "count >= WHOLE", "count + 1'b1 >= WHOLE"),
        ("words_to_beats", widths(4, 3), "(s_ready && !push)", "s_ready"),
        ("beats_to_words", widths(4, 9), "COUNT_BITS'(LAST_PIECE)", "COUNT_BITS'(PIECE)"),
        ("beats_to_words", widths(4, 9), "flush && !piece_valid", "flush"),
        ("beats_to_words", widths(4, 6), "turned[8*(p % LANES)", "turned[8*(p % WORD_BYTES)"),
        ("beats_to_words", widths(4, 3), "<= ~count_next", "<= count_next"),
        ("burst_store", {"WIDTH": 2, "DEPTH": 3}, "(DEPTH - 2)", "(DEPTH - 1)"),
        ("burst_store", {"WIDTH": 2, "DEPTH": 3}, "if (any) front", "front"),
        ("stream_fifo", {"WIDTH": 2, "DEPTH": 2, "STYLE": 1}, "!= COUNT_BITS'(DEPTH)", ">= 0"),
    ],
)
def test_the_proofs_find_faults(
    tmp_path: Path, name: str, parameters: dict[str, int], right: str, wrong: str
) -> None:
    with pytest.raises(tools.ToolFailed, match=r"Assert failed|BMC failed|FAILED"):
        prove(name, parameters, tmp_path, (right, wrong))
