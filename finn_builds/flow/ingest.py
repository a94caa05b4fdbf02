"""From anybody's QONNX file to an exact integer network."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import HostModel
from finn_builds.config.build import BuildConfig
from finn_builds.config.inputs import data_file, data_names
from finn_builds.errors import UserError
from finn_builds.files import HOST_FILE, REFERENCE_FILE, write_json
from finn_builds.ingest import (
    InputQuant,
    Reference,
    calibrate_scale,
    host_description,
    integer_mlp,
    model_info,
    split_host,
    tidy,
    to_thresholds,
)
from finn_builds.verify.accuracy import accuracy_report, float_accuracy
from finn_builds.verify.exactness import check_equal
from finn_builds.verify.frames import LabelledData, load_labelled, verification_frames

#: Metadata of a model whose input got a quantizer from this flow: its type and step.
INPUT_QUANT = "input_quant"


def step_tidy_up(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Bring the model into one plain form, refusing what is not a quantised MLP.

    Writes the result as ``model.onnx``, the reference that all later forms are compared with.
    """
    model = tidy(model)
    model.save(str(cfg.out / REFERENCE_FILE))
    return model


def step_qonnx_to_finn(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Separate what runs on the host from the integer network between.

    Writes the host's part as ``host_model.json``.
    """
    quant = None
    if cfg.input_quant is not None:
        scale = cfg.input_scale if cfg.input_scale is not None else _scale_from_data(model, cfg)
        quant = InputQuant(cfg.input_quant, scale)
    model = split_host(model, input_quant=quant)
    if quant is not None:
        model.set_metadata_prop(INPUT_QUANT, json.dumps(asdict(quant)))
    write_json(cfg.out / HOST_FILE, host_description(model))
    return model


def step_streamline(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Push scales, biases and normalisation into integer thresholds, and check the result.

    Where there are labelled data, ``report/accuracy.json`` says how good the integer network is
    on them; it holds null where there are none.

    Raises
    ------
    VerificationError
        When the integer network differs from the QONNX model on any verification frame.
    """
    cfg.progress(0, 3, "thresholds")
    network = to_thresholds(model)
    cfg.progress(1, 3, "data")
    host = HostModel.from_dict(host_description(network))
    data = labelled_data(host, model, cfg)
    frames = verification_frames(host, data, count=cfg.verify_frames, seed=cfg.verify_seed)
    cfg.progress(2, 3, "comparing with the QONNX model")
    integers = integer_mlp(network)
    expected = reference_of(model, cfg).run(frames.x)
    check_equal(expected, integers.execute(frames.x), "the streamlined network")
    report = None
    if data is not None:
        report = accuracy_report(host, integers, data)
        if model.get_metadata_prop(INPUT_QUANT):
            original = Reference(ModelWrapper(str(cfg.out / REFERENCE_FILE)))
            report["accuracy_without_input_quantizer"] = float_accuracy(original, data)
    write_json(cfg.out / "report" / "accuracy.json", report)
    return network


def reference_of(model: ModelWrapper, cfg: BuildConfig) -> Reference:
    """Return the QONNX model of a build as the reference of its comparisons."""
    return reference_from(cfg.out, model)


def reference_from(out: Path, model: ModelWrapper) -> Reference:
    """Return the QONNX model in a build folder as a reference.

    Parameters
    ----------
    out : Path
        The build folder.
    model : ModelWrapper
        Any later form of it, which knows the quantizer that was put before its input, if any.
    """
    text = model.get_metadata_prop(INPUT_QUANT)
    quant = InputQuant(**json.loads(text)) if text else None
    return Reference(ModelWrapper(str(out / REFERENCE_FILE)), input_quant=quant)


def labelled_data(host: HostModel, model: ModelWrapper, cfg: BuildConfig) -> LabelledData | None:
    """Return the data the user named, or those the model says it was trained on, or None.

    A model trained on somebody's file names that file, which need not be at hand; only data sets
    that come with the project are looked up by such a name.
    """
    name = cfg.data or model_info(model).get("dataset")
    if name is None or (cfg.data is None and name not in data_names()):
        return None
    return load_labelled(data_file(name), host, standardise=cfg.standardise)


def _scale_from_data(model: ModelWrapper, cfg: BuildConfig) -> float:
    """Return the input quantizer's scale from the range of the data at the first layer."""
    assert cfg.input_quant is not None
    # Any step will do to learn what the host computes before the quantizer.
    split = split_host(model, input_quant=InputQuant(cfg.input_quant, 1))
    probe = HostModel.from_dict(host_description(split))
    data = labelled_data(probe, model, cfg)
    if data is None:
        raise UserError(
            f"--input-quant {cfg.input_quant} needs the step of the quantizer: give it with "
            "--input-scale, or give --data to find it from the range of the data"
        )
    return calibrate_scale(Reference(model).run_front(data.x), cfg.input_quant)
