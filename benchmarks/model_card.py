"""The table of a model's card, from what its checkpoint records.

python benchmarks/model_card.py build/train_jets/jets.pt
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint
from brevitas_models.model.config import MLPConfig
from brevitas_models.model.quant_mlp import QuantMLP


def rows(model: QuantMLP, info: Mapping[str, Any], frames: str = "frames") -> list[str]:
    """Return the rows of a card as Markdown.

    Raises UserError if the model was measured on a surrogate, figures of which belong on no card.
    """
    if info["surrogate"]:
        raise UserError(
            f"{info['model']} was measured on made-up data; a card gives figures of real data: "
            f"train it on some"
        )
    figures = info["metrics"]
    found = [("network", _network(model.config)), ("bits", _bits(model.config))]
    found.append(("weights", _weights(model, info)))
    folds = figures["folds"]
    unseen = f", each by one of {folds} siblings that had not seen it" if folds > 1 else ", unseen"
    measured = f"({figures['frames']:,} {frames}{unseen})"
    found += _quality(figures, measured)
    if "teacher_accuracy" in figures:
        found += [
            (f"teacher on the same {frames}", f"{_percent(figures['teacher_accuracy'])}"),
            (
                "below the teacher",
                f"{100 * figures['below_teacher']:.1f} ± "
                f"{100 * figures['below_teacher_error']:.1f} points; same class as the teacher on "
                f"{_percent(figures['agreement'])}",
            ),
        ]
    if "soft_regret" in figures:
        gap, error = figures["teacher_overconfidence"], figures["teacher_overconfidence_error"]
        found.append(
            (
                "soft regret",
                f"{100 * figures['soft_regret']:.2f} ± {100 * figures['soft_regret_error']:.2f} "
                f"points; the teacher's confidence is {100 * gap:+.1f} ± {100 * error:.1f} points "
                f"off its accuracy",
            )
        )
    layers = [
        f"{figures[f'neural_efficiency_{index}']:.3f}"
        for index in range(1, len(model.config.layers))
    ]
    if "auc" in figures:
        found += [
            ("mean AUC", f"{figures['auc']:.3f}"),
            (
                "background efficiency at 50 % signal efficiency",
                f"{_percent(figures['background_efficiency'], 2)}, mean of the classes",
            ),
        ]
    found += [
        (
            "BOPs",
            f"{figures['bops']:,.0f}; with 32-bit inputs, as in the paper, "
            f"{figures['bops_32bit_input']:,.0f}",
        ),
        ("weight bits", f"{figures['weight_bits']:,}"),
        (
            "neural efficiency",
            f"{figures['neural_efficiency']:.3f} (layers {', '.join(layers)})"
            + (f"; aIQ {figures['aiq']:.3f}" if "aiq" in figures else ""),
        ),
    ]
    return [f"| {name} | {text} |" for name, text in found]


def _quality(figures: Mapping[str, Any], measured: str) -> list[tuple[str, str]]:
    """Return how often the classes are right and how far off the numbers are."""
    found = []
    for key, share in figures.items():
        name = key.removeprefix("accuracy")
        if name != key and f"accuracy_error{name}" in figures:
            error = _percent(figures[f"accuracy_error{name}"])
            of = f" of {name[1:]}" if name else ""
            found.append((f"accuracy{of}", f"{_percent(share)} ± {error} {measured}"))
    if "rmse" in figures:
        found.append(
            (
                "RMSE",
                f"{figures['rmse']:.4g} {measured}; {figures['rmse_of_constant']:.4g} for the best "
                f"constant answer",
            )
        )
    return found


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _network(config: MLPConfig) -> str:
    kind = {"relu": "ReLU", "hardtanh": "Hardtanh"}[config.activation]
    norm = {
        "on": "BatchNorm",
        "off": "no BatchNorm",
        "no_affine": "BatchNorm without scale and shift",
        "no_running_stats": "BatchNorm without running statistics",
    }[config.batch_norm]
    kinds = set(config.edge_kinds)
    if "tables" in kinds and not any(config.normed):
        norm = "no BatchNorm"
    elif config.fold_batch_norm:
        norm += " folded into the weights before quantisation"
    edges = {
        ("tables",): "edges are tables",
        ("weights",): "",
    }.get(tuple(kinds), f"edges are {', '.join(config.edge_kinds)}")
    sizes = "-".join(map(str, config.layers))
    outputs = ", ".join(f"{name} ({size})" for name, size in (config.outputs or {}).items())
    outputs = f"outputs {outputs}" if outputs else ""
    skips = ", ".join(f"{first} to {second}" for first, second in config.skip)
    skips = f"skip connections {skips}" if skips else ""
    return ", ".join(part for part in (sizes, edges, kind, norm, skips, outputs) if part)


def _bits(config: MLPConfig) -> str:
    scale = {"power_of_two": "power-of-two", "free": "free"}[config.scale]
    weights, acts = _list(config.weight_bits), _list(config.act_bits)
    name = "table entries" if set(config.edge_kinds) == {"tables"} else "weights"
    ranges = ", each feature in its own range" if config.input_ranges == "per_feature" else ""
    return (
        f"{name} {weights}, activations {acts}, inputs {config.input_bits}{ranges}; {scale} scales"
    )


def _list(bits: int | Sequence[int]) -> str:
    return str(bits) if isinstance(bits, int) else "/".join(map(str, bits))


def _weights(model: QuantMLP, info: Mapping[str, Any]) -> str:
    masks = model.masks()
    total = sum(mask.numel() for mask in masks)
    left = sum(int(mask.sum()) for mask in masks)
    if left == total:
        return f"{total:,}, none pruned"
    settings = info["recipe"]["pruning"]
    schedule = settings["schedule"].replace("_", " ")
    if settings.get("lut_budget"):
        return (
            f"{total:,} edges, of which {_percent(1 - left / total)} pruned ({left} remain), to a "
            f"budget of {settings['lut_budget']:,} LUTs, schedule {schedule}"
        )
    scope = {"global": "over the whole network", "per_layer": "layer by layer"}[settings["scope"]]
    return (
        f"{total:,}, of which {_percent(1 - left / total)} pruned ({left} remain), criterion "
        f"{settings['criterion']} {scope}, schedule {schedule}"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table of each checkpoint; returns the exit code."""
    try:
        for path in map(Path, arguments):
            print("\n".join(rows(*checkpoint.load(path))))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
