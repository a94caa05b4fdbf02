"""The QONNX model itself, executed by qonnx: the truth that every later form is compared with."""

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_node
from qonnx.custom_op.general.intquant import int_quant

from finn_builds.ingest.chain import Chain, Step, node_attrs, read_plain, write_chain
from finn_builds.ingest.elementwise import FINAL, evaluate_steps
from finn_builds.ingest.input_quant import InputQuant, insert
from finn_builds.ingest.lattice import Lattice
from finn_builds.ingest.sections import final_lattice, hidden_lattice, input_lattice, sections
from finn_builds.ingest.split import require_input

BATCH = "frames"

# Final operators that leave the order of the outputs alone.
ORDER_KEEPING = (*FINAL, "Sigmoid")


class Reference:
    """Executes a tidied QONNX model, in double precision and in float32.

    Nothing that builds the integer network is used to execute it: onnxruntime does the standard
    nodes through qonnx, and qonnx's own function the Quant nodes, on the floating point values that
    the integers stand for. The double run decides. A float32 run may differ from it where a value
    lies within float32's rounding of a quantizer's tie; :meth:`float32_disagreements` counts the
    frames. In the double run a BatchNormalization is the four operations of its definition in the
    ONNX standard, so that an input equal to the mean gives exactly the bias.

    A model whose input is not quantised can be run in floating point without an `input_quant`.
    """

    def __init__(self, model: ModelWrapper, *, input_quant: InputQuant | None = None) -> None:
        chain = read_plain(model)
        if input_quant is not None:
            chain = insert(chain, input_quant)
        parts = sections(chain)
        self._chain, self._parts = chain, parts
        self._into = input_lattice(chain, parts)
        self._models: dict[type, ModelWrapper] = {
            np.float32: write_chain(chain, dtype=np.float32, batch=BATCH),
            np.float64: write_chain(_in_double(chain), dtype=np.float64, batch=BATCH),
        }

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return the integers the QONNX model gives for integers, in double precision.

        Integer codes of the quantised input, (frames, n_in), give int64 (frames, n_out):
        accumulators of the last layer, or the integers of the quantizer the network ends in, as
        :func:`.split_host` has it. Raises UserError if the model's input is not quantised,
        ValueError if its own tensor is further than 1e-3 from the integers' lattice.
        """
        values = self._output_values(x, np.float64)
        codes = np.rint(values)
        worst = np.abs(values - codes).max(initial=0)
        if not worst < 1e-3:
            raise ValueError(f"the QONNX model's output is {worst:g} away from integers")
        return codes.astype(np.int64)

    def float32_disagreements(self, x: np.ndarray) -> int:
        """Return in how many frames of codes a float32 run of the model gives other integers."""
        in_single = np.rint(self._output_values(x, np.float32)).astype(np.int64)
        return int((in_single != self.run(x)).any(axis=1).sum())

    def run_float(self, x: np.ndarray) -> np.ndarray:
        """Return the output of the complete model for raw frames, in float32 as it is."""
        return self._execute(np.float32, self._raw(x), 0, len(self._chain.steps))

    def classify(self, x: np.ndarray) -> np.ndarray:
        """Return the class of each raw frame, by the complete model in float32; int64, (frames,).

        The rule is that of ``deploy.host_model.HostModel.classify``: the first of the largest
        outputs before a final softmax or sigmoid; of a single output, whether it is positive.
        """
        steps = self._chain.steps
        end = len(steps)
        while steps[end - 1].op in ORDER_KEEPING:
            end -= 1
        y = self._execute(np.float32, self._raw(x), 0, end)
        if steps[-1].op == "ArgMax":
            return y[:, 0].astype(np.int64)
        if y.shape[1] == 1:
            return (y[:, 0] > 0).astype(np.int64)
        return y.argmax(axis=1).astype(np.int64)

    def run_front(self, x: np.ndarray) -> np.ndarray:
        """Return what reaches the first layer (or an inserted input quantizer), in float32."""
        names = [s.name for s in self._chain.steps]
        stop = names.index(self._parts.layers[0].matmul.name)
        return self._execute(np.float32, self._raw(x), 0, stop)

    def _raw(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float32)
        return x.reshape(len(x), *self._chain.input_shape[1:])

    def _output_values(self, x: np.ndarray, dtype: type) -> np.ndarray:
        """Return the model's last integer tensor in units of its lattice, in floating point."""
        into = require_input(self._chain, self._parts, self._into)
        steps = list(self._chain.steps)
        flatten = sum(s.op == "Flatten" for s in steps)
        begin = flatten + len(into.kept)
        scale = dtype(into.scale)
        values = (np.asarray(x).astype(dtype) - into.zero_point) * into.divisor * scale
        last = self._parts.layers[-1]
        end = steps.index(last.matmul) + 1
        final = final_lattice(self._parts)
        if final is not None:
            y = self._execute(dtype, values, begin, end + len(final.kept))
            return _to_codes(final, y)
        y = self._execute(dtype, values, begin, end)
        count = len(self._parts.layers)
        lattice = into if count == 1 else hidden_lattice(self._parts, count - 2)
        unit = np.array([[float(lattice.scale) * lattice.divisor]])
        unit = evaluate_steps(lattice.moved, unit)[0, 0]
        sums = last.matmul.constants[0].astype(np.float64).sum(axis=0)
        return y.astype(np.float64) / unit + lattice.zero_point * sums

    def _execute(self, dtype: type, x: np.ndarray, begin: int, end: int) -> np.ndarray:
        """Return the tensor after step `end` of the chain with `x` put in before step `begin`."""
        model = self._models[dtype]
        graph = model.graph
        opset = model.get_opset_imports()
        # BatchNormalization is several nodes in double: steps are found by the nodes' names.
        begin, end = (self._node_index(graph.node, i) for i in (begin, end))
        context: dict[str, Any] = {t.name: model.get_initializer(t.name) for t in graph.initializer}
        context[""] = None
        current = x
        for node in list(graph.node)[begin:end]:
            source = next(name for name in node.input if name not in context)
            context[source] = current
            if node.op_type == "Quant":
                current = _quant(node, current, context, dtype)
            else:
                # qonnx wants a buffer of the right shape to be there.
                shape = (len(x), *(model.get_tensor_shape(node.output[0]) or [])[1:])
                context[node.output[0]] = np.empty(shape, dtype=dtype)
                execute_node(node, context, graph, opset.get(node.domain, 1))
                current = context.pop(node.output[0])
            del context[source]
        return current

    def _node_index(self, nodes: Any, index: int) -> int:
        if index >= len(self._chain.steps):
            return len(nodes)
        name = self._chain.steps[index].name
        return next(i for i, n in enumerate(nodes) if n.name == name)


def _quant(node: NodeProto, x: np.ndarray, context: dict[str, Any], dtype: type) -> np.ndarray:
    """Return qonnx's Quant in the precision of its input (the operator's node casts to float32)."""
    scale, zero_point, bits = (context[name] for name in node.input[1:])
    attrs = node_attrs(node)
    y = int_quant(
        x, scale, zero_point, bits, attrs["signed"], attrs["narrow"], attrs["rounding_mode"]
    )
    return np.asarray(y, dtype=dtype)


def _to_codes(lattice: Lattice, values: np.ndarray) -> np.ndarray:
    levels = values.astype(np.float64) / lattice.scale.astype(np.float64)
    return levels / lattice.divisor + lattice.zero_point


def _in_double(chain: Chain) -> Chain:
    """Return a chain with each BatchNormalization as its definition, constants in double."""
    steps: list[Step] = []
    for step in chain.steps:
        if step.op != "BatchNormalization":
            steps.append(step)
            continue
        gamma, beta, mean, var = (np.asarray(c, dtype=np.float64) for c in step.constants)
        std = np.sqrt(var + np.float64(np.float32(step.attrs["epsilon"])))
        steps += [
            Step("Sub", step.name, (mean,)),
            Step("Div", f"{step.name}_std", (std,)),
            Step("Mul", f"{step.name}_gamma", (gamma,)),
            Step("Add", f"{step.name}_beta", (beta,)),
        ]
    return replace(chain, steps=tuple(steps))
