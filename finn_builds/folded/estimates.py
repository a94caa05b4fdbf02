"""What a folded layer costs and how long it takes, before anything is synthesised.

Cycle counts follow FINN's model of its units. The resource model is ours: FINN 1.6.1 takes four
multiplications per DSP for every width and no LUT for the matrix-vector unit, which its RTL does
not keep (``mvu.sv``: the number of lanes in a DSP depends on both widths, and each DSP brings an
adder tree and the logic that repairs carries between lanes). Every figure is an estimate and is
reported as one; the structure is read off the RTL, and the few constants beside it are fitted to
Yosys' counts of random foldings (``benchmarks/results/estimates.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from finn_builds.stitch.blocks import Resources

#: Depth in words from which a weight memory is put into block RAM.
BRAM_FROM_DEPTH = 128


@dataclass(frozen=True)
class MvauShape:
    """What decides the cost of a folded matrix-vector unit, apart from its folding."""

    mw: int  # inputs of the layer
    mh: int  # outputs of the layer
    weight_bits: int
    act_bits: int
    acc_bits: int
    narrow: bool  # weights avoid the most negative value of their type
    dsp_a_bits: int  # width of the DSP's wide multiplier port: 25 on DSP48E1, 27 on DSP48E2

    def lanes(self) -> int:
        """Return the multiplications that share one DSP (``NUM_LANES`` of FINN's ``mvu.sv``)."""
        if self.dsp_a_bits == self.weight_bits:
            return 1
        lane = self.weight_bits + self.act_bits - 1
        return 1 + (self.dsp_a_bits - (not self.narrow) - self.weight_bits) // lane

    def cycles(self, pe: int, simd: int) -> int:
        """Return the cycles per frame at a folding."""
        return (self.mh // pe) * (self.mw // simd)

    def lane_widths(self) -> list[int]:
        """Return the bits of a DSP's sum that belong to each lane (``sliceLanes`` of ``mvu.sv``).

        Slack goes to the lanes on the right; the leftmost one ends at the accumulator's width or
        the DSP's 48 bits.
        """
        lanes = self.lanes()
        lane = self.weight_bits + self.act_bits - 1
        slack = self.dsp_a_bits - (not self.narrow) - self.weight_bits - (lanes - 1) * lane
        widths = []
        for left in range(lanes - 1, 0, -1):
            extra = -(-slack // left)
            widths.append(lane + extra)
            slack -= extra
        return [*widths, min(self.acc_bits, 48 - sum(widths))]

    def resources(self, pe: int, simd: int) -> Resources:
        """Return the cost at a folding, weight memory and replay buffer included."""
        lanes = self.lanes()
        pipes, last = divmod(pe, lanes)
        lut = pipes * self._pipe(lanes, simd) + (self._pipe(last, simd) if last else 0.0)
        depth, length, repeats = self.cycles(pe, simd), self.mw // simd, self.mh // pe
        width = pe * simd * self.weight_bits
        # Queues of shift registers: of results, and of eight words of weights.
        lut += pe * self.acc_bits + width
        lut += 18 + 3 * math.log2(depth) + 5 * math.log2(length) + 3 * math.log2(repeats)
        if repeats > 1:  # inputs are kept for the next outputs: one write and one read port
            lut += simd * self.act_bits * _lutram(length, 2 / 3 if self.dsp_a_bits == 25 else 4 / 7)
        bram = 0.0
        if depth >= BRAM_FROM_DEPTH:
            bram = math.ceil(width / 36) * math.ceil(depth / 512)
        elif depth > 1:
            lut += width * _lutram(depth, 1 / 2)  # one port
        return Resources(LUT=lut, DSP=math.ceil(pe / lanes) * simd, BRAM_18K=bram)

    def _pipe(self, used: int, simd: int) -> float:
        """Return the LUTs after the DSPs of a column; only its leftmost lanes are used."""
        widths = self.lane_widths()[self.lanes() - used :]
        lut = 0.0
        for place, width in enumerate(widths):
            lut += _adder_tree(simd, width, self.acc_bits)
            # The high part joins, and the overflow of the lane to the right leaves.
            high = max(0, self.acc_bits - width)
            lut += high + (self.acc_bits if place > 0 else 0)
            if place < used - 1:
                # Of each DSP the low product bits and the difference; their sum; its accumulator.
                lut += 7.2 * simd + 1 + (high or math.ceil(math.log2(simd)))
        return lut


def _lutram(depth: int, per_bit: float) -> float:
    """Return the LUTs of one bit of a memory: of `per_bit` in blocks of 32 words."""
    return per_bit * 2 ** max(0, math.ceil(math.log2(depth / 32)))


@cache
def _adder_tree(leaves: int, bits: int, most: int) -> int:
    """Return the LUTs of an adder tree whose result is cut to `most` bits."""
    if leaves < 2:
        return 0
    left, right = -(-leaves // 2), leaves // 2
    return (
        min(bits + math.ceil(math.log2(left)), most)
        + _adder_tree(left, bits, most)
        + _adder_tree(right, bits, most)
    )


@dataclass(frozen=True)
class ThresholdShape:
    """What decides the cost of a thresholding unit, apart from its folding."""

    channels: int
    steps: int  # thresholds of each channel
    in_bits: int
    threshold_bits: int

    def cycles(self, pe: int) -> int:
        """Return the cycles per frame at a folding."""
        return self.channels // pe

    def resources(self, pe: int) -> Resources:
        """Return the cost at a folding: a binary search of log2(steps + 1) stages."""
        words = [self.channels // pe * 2**k for k in range(max(1, self.steps.bit_length()))]
        # LUTs of a bit of the thresholds: of few words a memory is wires, and a comparison with
        # one constant is next to nothing; wider inputs are clipped before.
        memory = sum(0.72 * math.ceil(n / 64) for n in words if n > 4)
        compare = sum({1: 0.0, 2: 1.5}.get(n, 1.16) for n in words)
        clip = 0.73 if self.in_bits > self.threshold_bits else 0.0
        return Resources(LUT=23 + pe * self.threshold_bits * (memory + compare + clip))


def width_converter(in_bits: int, out_bits: int) -> Resources:
    """Return the cost of FINN's RTL width converter: a selector, or registers that are filled."""
    if in_bits == out_bits:
        return Resources()
    step = math.gcd(in_bits, out_bits)
    if step < min(in_bits, out_bits):  # words of the stream lie at many places in the register
        both = in_bits + out_bits
        return Resources(LUT=both * math.log2(both / step))
    if in_bits < out_bits:
        return Resources(LUT=in_bits + 19)
    return Resources(LUT=1.5 * in_bits + 8 + 10 * math.log2(in_bits / out_bits))
