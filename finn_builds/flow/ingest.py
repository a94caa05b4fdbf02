"""From anybody's QONNX file to an exact integer network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deploy.host_model import HostModel
from finn_builds.config.build import BuildConfig
from finn_builds.config.inputs import data_file, data_names
from finn_builds.errors import UserError
from finn_builds.ingest import (
    HostSplit,
    InputQuant,
    Reference,
    Tidied,
    calibrate_scale,
    load_model,
    model_info,
    split_host,
    tidy,
)
from finn_builds.ingest.top1 import head_of
from finn_builds.network import IntegerNetwork
from finn_builds.verify.accuracy import Accuracy, Quality, share_right, target_error
from finn_builds.verify.data import GivenData, load_data, outputs_of
from finn_builds.verify.exactness import check_equal
from finn_builds.verify.findings import findings_of
from finn_builds.verify.frames import verification_frames
from finn_builds.verify.golden import compare_golden, read_golden
from finn_builds.verify.streamlined import Answers, GoldenFrames, Streamlined, Vectors


def step_tidy_up(cfg: BuildConfig) -> Tidied:
    """Read the model, compute its constants and fix its shapes.

    The result, ``model.onnx``, is the reference that all later forms are compared with.
    """
    return Tidied(tidy(load_model(cfg.model_file)))


def step_qonnx_to_finn(tidied: Tidied, cfg: BuildConfig) -> HostSplit:
    """Separate what runs on the host, ``host_model.json``, from the integers between.

    Scales, biases and normalisation become exact integer operations.
    """
    quant = None
    if cfg.input_quant is not None:
        scale = cfg.input_scale if cfg.input_scale is not None else _scale_from_data(tidied, cfg)
        quant = InputQuant(cfg.input_quant, scale)
    return split_host(tidied.model, quant, host_input=cfg.host_input)


def step_streamline(tidied: Tidied, split: HostSplit, cfg: BuildConfig) -> Streamlined:
    """Compare the integer network with the QONNX model.

    Frames and expected integers of every later comparison are made here, and where there are
    labelled data, the network's answers to them. Raises VerificationError when the integer network
    differs from the QONNX model on any verification frame, or from the user's expected integers.
    """
    network = split.network
    whole = network.with_head(head_of(split.host)) if cfg.top1 else network
    cfg.progress(0, 2, "data")
    data = given_data(split.host, tidied, cfg)
    frames = verification_frames(split.host, data, count=cfg.verify_frames, seed=cfg.verify_seed)
    cfg.progress(1, 2, "comparing with the QONNX model")
    reference = Reference(tidied.model, split)
    expected = reference.run(frames.x)
    check_equal(expected, network.execute(frames.x), "the streamlined network")
    if whole.head is not None:
        expected = whole.head.execute(expected)
    vectors = Vectors(
        frames.x,
        expected,
        frames.source,
        reference.float32_disagreements(frames.x),
        frames.features,
        frames.labels,
    )
    golden = _golden(whole, split, cfg)
    if data is None:
        findings = findings_of(network, split.host, None)
        return Streamlined(whole, vectors, None, None, findings, golden)
    integers = network.execute(split.host.before(data.x))
    quality = _quality(tidied, split, data, integers)
    findings = findings_of(network, split.host, data, integers, quality)
    answers = None
    if data.y is not None:
        answers = Answers(integers, data.y, data.source, data.surrogate)
    return Streamlined(whole, vectors, answers, quality, findings, golden)


def _golden(whole: IntegerNetwork, split: HostSplit, cfg: BuildConfig) -> GoldenFrames | None:
    """Compare the network with the expected integers that the user has, if he has any."""
    if cfg.golden is None:
        return None
    golden = read_golden(Path(cfg.golden), split.host)
    result = compare_golden(golden, split.host, split.network.execute(golden.x))
    return GoldenFrames(golden.x, whole.execute(golden.x), result)


def _quality(
    tidied: Tidied, split: HostSplit, data: GivenData, integers: np.ndarray
) -> Quality | None:
    """Compare the network's answers to data with what is known of them."""
    if data.targets is not None:
        outputs = outputs_of(split.host, integers)
        return target_error(
            outputs, data.targets, data.source, surrogate=data.surrogate, heads=data.heads
        )
    if data.y is None:
        return None
    share, error = share_right(split.host.classify(integers), data.y)
    original = None
    if split.input_quant is not None:
        original = share_right(Reference(tidied.model).classify(data.x), data.y)[0]
    classes = data.classes or None
    return Accuracy(share, error, len(data.y), data.source, data.surrogate, original, classes)


def given_data(host: HostModel, tidied: Tidied, cfg: BuildConfig) -> GivenData | None:
    """Return the data the user named, or those the model says it was trained on, or None.

    A model trained on somebody's file names that file, which need not be at hand; only data sets
    that come with the project are looked up by such a name.
    """
    info = model_info(tidied.model)
    name = cfg.data or info.get("dataset")
    if name is None or (cfg.data is None and name not in data_names()):
        return None
    return load_data(
        data_file(name),
        host,
        standardise=cfg.standardise,
        classes=cfg.class_names,
        shipped=name in data_names(),
    )


def _scale_from_data(tidied: Tidied, cfg: BuildConfig) -> float:
    """Return the input quantizer's scale from the range of the data at the first layer."""
    assert cfg.input_quant is not None
    # Any step will do to learn what the host computes before the quantizer.
    probe = split_host(tidied.model, InputQuant(cfg.input_quant, 1), host_input=cfg.host_input)
    data = given_data(probe.host, tidied, cfg)
    if data is None:
        raise UserError(
            f"--input-quant {cfg.input_quant} needs the step of the quantizer: give it with "
            "--input-scale, or give --data to find it from the range of the data"
        )
    return calibrate_scale(Reference(tidied.model, probe).run_front(data.x), cfg.input_quant)
