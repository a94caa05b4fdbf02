"""The processors of the simulated boards: registers of the fabric's clock. For the host only."""

from __future__ import annotations

__all__ = ["PROCESSORS", "Zynq7000", "ZynqUltrascale"]


class Zynq7000:
    """Clock registers of Zynq-7000 (UG585, appendix B.28) after boot."""

    arch = "armv7l"
    registers = {  # noqa: RUF012 - a table
        0xF800_0100: 40 << 12,
        0xF800_0104: 32 << 12,
        0xF800_0108: 20 << 12,  # IO PLL: 50 MHz * 20
        0xF800_0170: 10 << 8 | 1 << 20,
    }

    @staticmethod
    def fclk_mhz(read: dict[int, int]) -> float:
        """Return the fabric's clock that these register values, by address, set."""
        control = read[0xF800_0170]
        pll = 50.0 * (read[0xF800_0108] >> 12 & 0x7F)
        return pll / ((control >> 8 & 0x3F) * (control >> 20 & 0x3F))


class ZynqUltrascale:
    """Clock registers of Zynq UltraScale+ (UG1087, CRL_APB) after boot."""

    arch = "aarch64"
    registers = {  # noqa: RUF012 - a table
        0xFF5E_0020: 90 << 8 | 1 << 16,  # IO PLL: 33.333 MHz * 90 / 2
        0xFF5E_00C0: 15 << 8 | 1 << 16 | 1 << 24,
    }

    @staticmethod
    def fclk_mhz(read: dict[int, int]) -> float:
        """Return the fabric's clock that these register values, by address, set."""
        control, pll = read[0xFF5E_00C0], read[0xFF5E_0020]
        mhz = 33.333 * (pll >> 8 & 0x7F) / (2 if pll >> 16 & 1 else 1)
        return mhz / ((control >> 8 & 0x3F) * (control >> 16 & 0x3F))


#: By ``ps_type`` of the board.
PROCESSORS: dict[str, type[Zynq7000 | ZynqUltrascale]] = {
    "zynq_7000": Zynq7000,
    "zynq_ultrascale": ZynqUltrascale,
}
