"""From a recipe to a checkpoint: load, train, measure, write."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from brevitas_models import datasets, metrics, pruning
from brevitas_models.datasets import Dataset, Scaler
from brevitas_models.datasets.folds import fold, with_test_frames
from brevitas_models.datasets.spaces import space_of
from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint, export
from brevitas_models.model.heads import Head, heads_of, learns_classes
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train import mixing, outputs, record, rules
from brevitas_models.train.distill import Teacher
from brevitas_models.train.hooks import Hooks
from brevitas_models.train.loop import steps_of
from brevitas_models.train.noise import redraw_labels
from brevitas_models.train.progress import Reporter
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rounds import RoundResult, Trainee, plan, side_by_side
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.settings import DistillationSettings, TrainingSettings
from brevitas_models.train.stacked.compiling import check_compiler
from brevitas_models.train.store import RoundStore, digest, key, run_rounds

#: Steps of a training below which a smaller batch is proposed, and the frames of that batch.
_FEW_STEPS, _SMALL_BATCH = 500, 32


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A recipe with the data and the teacher that it is to be followed with."""

    recipe: Recipe
    data: Dataset
    teacher: Teacher | None
    compiled: bool = False  # let torch compile the training steps; changes results in the last bits
    hooks: Hooks = dataclasses.field(default_factory=Hooks)

    def __post_init__(self) -> None:
        recipe, data = self.recipe, self.data
        sizes = recipe.network.layers
        if data.target_names and learns_classes(self.heads):
            raise UserError(
                f"{data.source}: the labels are numbers with fractions; expected classes. Give "
                f"each row a class, or learn the numbers with training.loss: mse or huber"
            )
        wanted = len(data.target_names) or data.n_classes
        if (sizes[0], sizes[-1]) != (data.n_features, wanted):
            raise UserError(
                f"network.layers: the data set {data.name} has {data.n_features} features and "
                f"{data.outputs}, the network {sizes[0]} inputs and {sizes[-1]} outputs; "
                f"change the first or last size, or give another data set"
            )
        if self.teacher is not None:
            self.teacher.check_fits(data.n_features, data.n_classes)
        elif recipe.distillation is not None:
            name = recipe.distillation.teacher_name
            raise UserError(
                f"{recipe.name} learns from a teacher: give its file with --teacher model.onnx"
                + (f" ({name})" if name else "")
            )

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the outputs of the network are."""
        return heads_of(self.recipe.network, self.recipe.training.loss)

    @property
    def unit(self) -> Scaler | None:
        """What standardises targets, by those of the training set; None where there are classes."""
        if not self.data.target_names:
            return None
        fitted = Scaler.fit(self.data.y_train.astype(np.float32))
        for head in self.heads:
            if head.is_class:
                fitted.mean[head.values], fitted.scale[head.values] = 0, 1
        return fitted

    def frames(self) -> tuple[Frames, Frames]:
        """Return what to learn from and what to judge by while learning.

        Without a teacher these are training and validation set. With one, only their inputs are
        used; inputs may be mixed around them, and the targets are the teacher's. Where the recipe
        wants random labels, the first targets of both are redrawn (see `noise.redraw_labels`).
        """
        share, seed = self.recipe.data.random_labels, self.recipe.data.seed
        n_classes = self.data.n_classes
        frames, validation = self._true_frames()
        # Two seeds, so that the validation frames do not repeat the classes drawn for the others.
        return (
            redraw_labels(frames, share, n_classes, 2 * seed),
            redraw_labels(validation, share, n_classes, 2 * seed + 1),
        )

    def _true_frames(self) -> tuple[Frames, Frames]:
        data, scaler = self.data, self.data.scaler
        train, validation = scaler.transform(data.x_train), scaler.transform(data.x_val)
        if self.teacher is None:
            unit = self.unit
            return _frames(train, data.y_train, unit), _frames(validation, data.y_val, unit)
        settings = self.recipe.distillation or DistillationSettings()
        if settings.samples > 0:
            rng = np.random.default_rng(self.recipe.training.seed)
            mix = self._mixer(settings)
            everything = self.origin()
            # A tenth as many to judge by, another draw around the same frames: the teacher has an
            # answer to any input, so no frame need be kept from learning.
            validation = mix(everything, everything, max(settings.samples // 10, 1), rng=rng)
            train = mix(everything, everything, settings.samples, rng=rng)
        taught = self._taught(train, settings)
        origin = torch.from_numpy(self.origin())
        return dataclasses.replace(taught, origin=origin), self._taught(validation, settings)

    def origin(self) -> np.ndarray:
        """Return the standardised frames (n, n_features) that inputs are mixed from."""
        data = self.data
        return data.scaler.transform(np.concatenate([data.x_train, data.x_val]))

    def _mixer(self, settings: DistillationSettings) -> Callable[..., np.ndarray]:
        """Return what mixes inputs as the settings say."""
        ways = settings.model_dump(include={"neighbours", "along", "across", "noise", "local"})
        if settings.space == "standardised":
            return partial(mixing.mix_neighbours, **ways)
        space = space_of(self.data.feature_names)
        if space is None:
            raise UserError(
                f"distillation.space: free coordinates are known for the 16 features of the jets, "
                f"found {self.data.n_features} features of {self.data.name}; choose standardised"
            )
        return partial(mixing.mix_in_space, space=space, scaler=self.data.scaler, **ways)

    def _taught(self, x: np.ndarray, settings: DistillationSettings) -> Frames:
        logits = torch.from_numpy(self._teacher_logits(x))
        return Frames(torch.from_numpy(x), torch.softmax(logits / settings.temperature, dim=1))

    def _teacher_logits(self, x: np.ndarray) -> np.ndarray:
        """Return the teacher's logits (n, n_classes) for standardised features."""
        assert self.teacher is not None
        return self.teacher.logits(self.data.scaler.inverse(x) if self.teacher.takes_raw else x)

    def trainee(self) -> Trainee:
        """Return the recipe with its frames, for a store."""
        frames, validation = self.frames()
        arrays = (frames.x, frames.target, validation.x, validation.target)
        name = digest(*(array.numpy() for array in arrays))
        company = (self.recipe.data.folds, self.compiled)
        return Trainee(self.recipe, frames, validation, key(self.recipe, name, *company))

    def fit(self) -> tuple[QuantMLP, list[EpochRecord]]:
        """Train a fresh model; return it as the last round left it, and all epochs."""
        (results,) = run_rounds([self.trainee()], compiled=self.compiled, luts=self.hooks.luts)
        epochs = [record for result in results for record in result.history]
        return results[-1].model(self.recipe.network), epochs

    def answers(self, model: QuantMLP) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what is true of the test set, what a model gives, and the teacher's probabilities.

        That is classes (n,), or targets (n, n_out); outputs (n, n_out), in the units of the
        targets; and probabilities (n, n_classes), None without a teacher.
        """
        x = self.data.scaler.transform(self.data.x_test)
        found: np.ndarray = rules.evaluate(model, torch.from_numpy(x)).numpy()
        found = found if self.unit is None else self.unit.inverse(found)
        return self.data.y_test, found, self.opinion()

    def opinion(self) -> np.ndarray | None:
        """Return the teacher's probabilities (n, n_classes) of the test set, if there is one."""
        if self.teacher is None:
            return None
        return metrics.probabilities(
            self._teacher_logits(self.data.scaler.transform(self.data.x_test))
        )


def run(
    recipe: Recipe,
    *,
    teacher: Path | None,
    out: Path,
    command: str,
    reporter: Reporter,
    compiled: bool = False,
    hooks: Hooks | None = None,
) -> Path:
    """Train a model as its recipe says, measure it and write all about it into a folder.

    With ``data.folds`` above 1 it is measured on all frames by that many siblings of the model,
    each of which has not seen the frames that it is measured on; the model itself is trained on all
    frames, side by side with them. Where there is more than one training, finished rounds are kept
    in `outputs.unfinished` until all is written, and the same call goes on from there.

    The folder `out` gets ``<name>.pt``, ``<name>.onnx``, ``<name>.yaml`` and ``history.csv``. A
    folder from an earlier training is replaced, at the end and as a whole. Raises UserError for
    anything in the recipe, the data, the teacher or `out` that does not fit; if steps are to be
    compiled and there is no compiler.
    """
    hooks = hooks or Hooks()
    if compiled:
        check_compiler("--compiled", "leave the option out")
    outputs.check(out, recipe.name)
    chosen = recipe.data
    data = datasets.load(
        chosen.dataset,
        source=chosen.source,
        seed=chosen.seed,
        read_table=hooks.read_table,
        classes=chosen.classes,
        targets=not learns_classes(heads_of(recipe.network, recipe.training.loss)),
    )
    reporter.note(f"data: {data.source}")
    if data.class_order:
        reporter.note(f"classes {data.class_order}: {', '.join(data.class_names)}")
    ways = recipe.distillation or DistillationSettings()
    asked = Teacher(teacher, ways.teacher_inputs) if teacher is not None else None
    if asked is not None and recipe.distillation is None:
        recipe = recipe.replace("distillation")
    experiment = Experiment(recipe, data, asked, compiled, hooks)

    parts = [
        dataclasses.replace(experiment, data=fold(data, index, chosen.folds))
        for index in range(chosen.folds if chosen.folds > 1 else 0)
    ]
    if parts:
        experiment = dataclasses.replace(experiment, data=with_test_frames(data))
    kept = outputs.unfinished(out) if parts or len(plan(recipe)) > 1 else None
    *siblings, results = _trained([*parts, experiment], kept, reporter)
    model = results[-1].model(recipe.network)
    measured = parts or [experiment]
    figures = _measured(measured, siblings or [results])
    x = data.scaler.transform(np.concatenate([one.data.x_test for one in measured]))
    figures |= metrics.cost_figures(model, torch.from_numpy(x), figures.get("auc"))

    what = "surrogate frames (not real data)" if data.surrogate else f"{data.name}, frames unseen"
    lines = metrics.figure_lines(figures, physics=data.name == "jets")
    judged = metrics.target_lines if data.target_names else metrics.accuracy_lines
    for line in (*judged(figures, what), *lines):
        reporter.result(line)
    if (budget := recipe.pruning.lut_budget) is not None:
        spent = pruning.total_luts(pruning.edge_prices(model, hooks.luts.edges))
        reporter.result(
            f"edges cost {spent:,.0f} LUTs by the prices of training, of a budget of {budget:,}"
        )
    truth = np.concatenate([one.data.y_test for one in measured])
    if not data.target_names and (hint := metrics.chance_line(figures["accuracy"], truth)):
        reporter.result(hint)
    if asked is None and (hint := few_steps_line(recipe.training, len(data.x_train))):
        reporter.result(hint)
    info = record.checkpoint_info(
        recipe, experiment.data, asked, results[-1], figures, command, experiment.unit
    )
    with outputs.folder(out, recipe.name) as stage:
        checkpoint.save(stage / f"{recipe.name}.pt", model, info)
        export.export_qonnx(model, info, stage / f"{recipe.name}.onnx")
        record.write_recipe(stage / f"{recipe.name}.yaml", recipe)
        record.write_history(stage / "history.csv", results)
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)
    reporter.result(f"checkpoint: {out / recipe.name}.pt, QONNX: {out / recipe.name}.onnx")
    return out / f"{recipe.name}.pt"


def few_steps_line(training: TrainingSettings, frames: int) -> str:
    """Return what to try where a training on that number of frames has few steps, else nothing."""
    batch, in_an_epoch = steps_of(training, frames)
    steps = training.epochs * in_an_epoch
    if steps >= _FEW_STEPS or batch <= _SMALL_BATCH:
        return ""
    return (
        f"only {steps:,} steps of the optimiser in {training.epochs:,} epochs, each on {batch:,} "
        f"of {frames:,} frames; smaller batches may give a better network: --set "
        f"training.batch_size={_SMALL_BATCH}"
    )


def _trained(
    experiments: Sequence[Experiment], folder: Path | None, reporter: Reporter
) -> list[list[RoundResult]]:
    """Train siblings (folds) and the model itself, those that can be side by side.

    The experiments are of one recipe, and the last is the model itself. Finished rounds are kept in
    `folder`, if there is one.
    """
    store = RoundStore(folder)
    found: dict[int, list[RoundResult]] = {}
    recipe, compiled = experiments[-1].recipe, experiments[-1].compiled
    trainees = [experiment.trainee() for experiment in experiments]
    folds = len(trainees) - 1
    for places in side_by_side(trainees):
        group = [trainees[index] for index in places]
        parts = [str(index + 1) for index in places if index < folds]
        title = recipe.name
        if parts:
            title += f", fold{'s' * (len(parts) > 1)} {', '.join(parts)} of {folds}"
        if any(store.rounds(one.key) for one in group):
            reporter.note(f"{title}: goes on from the finished rounds in {folder}")
        with reporter.rounds(title, plan(recipe), recipe.training.epochs) as on_epoch:
            results = run_rounds(
                group,
                store,
                compiled=compiled,
                luts=experiments[-1].hooks.luts,
                on_epoch=on_epoch,
            )
        found.update(zip(places, results, strict=True))
    return [found[index] for index in range(len(trainees))]


def _measured(
    experiments: Sequence[Experiment], results: Sequence[Sequence[RoundResult]]
) -> dict[str, float]:
    """Measure what experiments gave, each on its own test set, all frames taken together."""
    found = (
        one.answers(rounds[-1].model(one.recipe.network))
        for one, rounds in zip(experiments, results, strict=True)
    )
    truths, outputs, asked = zip(*found, strict=True)
    truth, given, first = np.concatenate(truths), np.concatenate(outputs), experiments[0]
    if first.data.target_names:
        heads = [(head.name, head.values, head.is_class) for head in first.heads]
        return metrics.target_figures(truth, given, first.data.target_names, heads)
    teacher = None if first.teacher is None else np.concatenate(asked)
    scores = metrics.probabilities(given)
    return {
        **metrics.accuracy_figures(truth, given.argmax(axis=1), teacher),
        **metrics.score_figures(truth, scores, first.data.class_names),
    }


def _frames(x: np.ndarray, y: np.ndarray, unit: Scaler | None) -> Frames:
    if unit is None:
        return Frames(torch.from_numpy(x), torch.from_numpy(y))
    target = torch.from_numpy(unit.transform(y))
    return Frames(torch.from_numpy(x), target, unit=torch.from_numpy(unit.scale))
