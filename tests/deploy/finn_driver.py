"""A driver as FINN generates one: its class, its calls and its order of them, in our own words.

It takes its types from qonnx and its packing from FINN, and knows nothing of this project. Only the
platform ``zynq-iodma`` of FINN's template is here.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from finn.util.data_packing import finnpy_to_packed_bytearray, packed_bytearray_to_finnpy
from pynq import Overlay, allocate
from pynq.ps import Clocks
from qonnx.core.datatype import DataType
from qonnx.util.basic import gen_finn_dt_tensor

ORDER = {"reverse_inner": True, "reverse_endian": True}


def generated_io_shape_dict(shapes: dict) -> dict:
    """Return ``io_shape_dict`` as FINN writes it into ``driver.py``: types are qonnx's."""
    keys = ("ishape_normal", "oshape_normal", "ishape_folded", "oshape_folded")
    keys += ("ishape_packed", "oshape_packed", "input_dma_name", "output_dma_name")
    keys += ("number_of_external_weights", "num_inputs", "num_outputs")
    types = {key: [DataType[name] for name in shapes[key]] for key in ("idt", "odt")}
    tuples = {k: [tuple(s) for s in shapes[k]] if "shape" in k else shapes[k] for k in keys}
    return {**types, **tuples}


class GeneratedOverlay(Overlay):
    """FINN's overlay class."""

    def __init__(
        self,
        bitfile_name: str,
        platform: str,
        io_shape_dict: dict,
        batch_size: int = 1,
        fclk_mhz: float = 100.0,
        device: object = None,
        download: bool = True,
        runtime_weight_dir: str = "runtime_weights/",
    ) -> None:
        super().__init__(bitfile_name, download=download, device=device)
        self.runtime_weight_dir = runtime_weight_dir
        self._io_shape_dict = io_shape_dict
        self.platform = platform
        self.batch_size = batch_size
        self.fclk_mhz = fclk_mhz
        self.idma = [getattr(self, name) for name in io_shape_dict["input_dma_name"]]
        self.odma = [getattr(self, name) for name in io_shape_dict["output_dma_name"]]
        if self.fclk_mhz > 0:
            Clocks.fclk0_mhz = self.fclk_mhz
        self.external_weights: list = []
        if Path(self.runtime_weight_dir).is_dir():
            raise NotImplementedError("these accelerators have none")

    def idt(self, ind: int = 0) -> object:
        return self._io_shape_dict["idt"][ind]

    def odt(self, ind: int = 0) -> object:
        return self._io_shape_dict["odt"][ind]

    def shape(self, key: str, ind: int = 0) -> tuple[int, ...]:
        return (self.batch_size, *self._io_shape_dict[key][ind][1:])

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self._batch_size = value
        how = {"dtype": np.uint8, "cacheable": True, "target": self.device}
        self.ibuf_packed_device = [allocate(shape=self.shape("ishape_packed"), **how)]
        self.obuf_packed_device = [allocate(shape=self.shape("oshape_packed"), **how)]
        self.obuf_packed = [np.empty_like(buffer) for buffer in self.obuf_packed_device]

    def copy_input_data_to_device(self, data: np.ndarray, ind: int = 0) -> None:
        np.copyto(self.ibuf_packed_device[ind], data)
        self.ibuf_packed_device[ind].flush()

    def copy_output_data_from_device(self, data: np.ndarray, ind: int = 0) -> None:
        self.obuf_packed_device[ind].invalidate()
        np.copyto(data, self.obuf_packed_device[ind])

    def execute_on_buffers(self) -> None:
        for dma in self.odma:
            assert dma.read(0x00) & 0x4 != 0, "the output DMA is not idle"
        for dma, buffer in (
            *zip(self.odma, self.obuf_packed_device, strict=True),
            *zip(self.idma, self.ibuf_packed_device, strict=True),
        ):
            dma.write(0x10, buffer.device_address & 0xFFFFFFFF)
            dma.write(0x14, (buffer.device_address >> 32) & 0xFFFFFFFF)
            dma.write(0x1C, self.batch_size)
            dma.write(0x00, 1)
        for dma in self.odma:
            while dma.read(0x00) & 0x2 == 0:
                pass

    def execute(self, input_npy: np.ndarray) -> np.ndarray:
        assert input_npy.shape == self.shape("ishape_normal")
        folded = input_npy.reshape(self.shape("ishape_folded"))
        self.copy_input_data_to_device(finnpy_to_packed_bytearray(folded, self.idt(), **ORDER))
        self.execute_on_buffers()
        self.copy_output_data_from_device(self.obuf_packed[0])
        folded = packed_bytearray_to_finnpy(
            self.obuf_packed[0], self.odt(), self.shape("oshape_folded"), **ORDER
        )
        return folded.reshape(self.shape("oshape_normal"))

    def throughput_test(self) -> dict:
        began = time.time()
        self.execute_on_buffers()
        seconds = time.time() - began
        self.execute(gen_finn_dt_tensor(self.idt(), self.shape("ishape_normal")))
        return {
            "runtime[ms]": seconds * 1000,
            "throughput[images/s]": self.batch_size / seconds,
            "fclk[mhz]": Clocks.fclk0_mhz,
            "batch_size": self.batch_size,
        }
