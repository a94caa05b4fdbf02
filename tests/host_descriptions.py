"""Descriptions of a host model with one input and one output, from their parts."""

from typing import Any


def described(
    into: dict[str, Any],
    before: list[dict[str, Any]],
    codes: dict[str, Any],
    out: dict[str, Any],
    after: list[dict[str, Any]],
    **names: Any,
) -> dict[str, Any]:
    """Return a description in the form of ``host_model.json``.

    `into` has the name, shape, n, datatype and perhaps values of the input; `out` the name, n,
    datatype and kind of the output.
    """
    shape = [1] if out["kind"] == "argmax" else [out["n"]]
    return {
        "version": 2,
        "inputs": [{"take": None, "values": None, **into, "before": before, "codes": codes}],
        "input_datatype": into["datatype"],
        "outputs": [
            {
                "name": out["name"],
                "shape": shape,
                "take": None,
                "kind": out["kind"],
                "after": after,
            }
        ],
        "output_datatype": out["datatype"],
        "n_out": out["n"],
        **names,
    }
