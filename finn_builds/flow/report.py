"""The build as a page: ``report.html``, and the same figures as ``report/report.json``."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper

from deploy.host_model import HostModel
from finn_builds.config.build import BuildConfig
from finn_builds.files import HOST_FILE, PAGE_DATA_FILE, PAGE_FILE, write_json
from finn_builds.flow.ingest import labelled_data
from finn_builds.ingest import model_info
from finn_builds.report import origin
from finn_builds.report.content import Origin
from finn_builds.report.gather import build_report
from finn_builds.report.page import build_page


def step_report(model: ModelWrapper, cfg: BuildConfig) -> ModelWrapper:
    """Write the page of the build and its figures."""
    host = HostModel.from_json(cfg.out / HOST_FILE)
    cfg.progress(0, 3, "gathering")
    report = build_report(
        cfg.out,
        model,
        cfg.board_spec,
        labelled_data(host, model, cfg),
        _origin(model, cfg),
        top1=cfg.top1,
    )
    cfg.progress(1, 3, "drawing")
    page = build_page(report)
    cfg.progress(2, 3, "writing")
    (cfg.out / PAGE_FILE).write_text(page, encoding="utf-8")
    write_json(cfg.out / PAGE_DATA_FILE, report.as_json())
    return model


def _origin(model: ModelWrapper, cfg: BuildConfig) -> Origin:
    return Origin(
        command=origin.command_line(cfg),
        seeds={"verification and data": cfg.verify_seed},
        versions=origin.versions(),
        sources=cfg.environment()["sources"],
        date=origin.now(),
        trained=origin.training_note(model_info(model)),
    )
