"""Sections of a recipe: what a model learns from, how it is trained, and what of a teacher."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from brevitas_models.model.heads import CLASSES, Loss
from brevitas_models.yaml_file import Section


class DataSettings(Section):
    """What the model learns from; the keys are the arguments of `datasets.load`.

    Attributes
    ----------
    dataset : str
        Name of a built-in data set, or the path of a file.
    source : str or None
        Where a built-in data set comes from, if it has several sources.
    classes : list of str or None
        The classes of a file in the order of the network's outputs; null: in the file's own order,
        which is the alphabetical one for names.
    seed : int
        Seed of the split into training, validation and test frames. It is apart from the seed of
        the training, so that models trained with several seeds see the same frames.
    folds : int
        1: accuracy is measured on the test set. More: on all frames, by that many siblings of the
        model (k-fold cross-validation).
    random_labels : float
        The first of the training and of the validation frames, this share of them, get a class
        drawn from all classes alike (Hawks et al. 2021, section 3.4: 0, 0.5, 0.75, 0.9); test
        frames keep the true one. 0 <= share <= 1.
    """

    dataset: str = "digits"
    source: str | None = None
    classes: tuple[str, ...] | None = None
    seed: int = Field(0, ge=0)
    folds: int = Field(1, ge=1)
    random_labels: float = Field(0.0, ge=0, le=1)


class TrainingSettings(Section):
    """How the loop runs.

    Attributes
    ----------
    epochs : int
        Largest number of passes over the training frames.
    batch_size : int
        Frames of one optimiser step.
    learning_rate : float
        Rate of Adam at the start.
    schedule : str
        ``cosine``: the rate falls to zero over all steps; ``constant``: it stays.
    patience : int or None
        Epochs without a better validation loss after which training stops; null: never.
    loss : str or list of str
        ``cross_entropy``: the outputs are scores of classes; ``mse``: numbers, with the mean square
        error as loss; ``huber``: with Huber's, which is linear beyond 1 (Huber (1964), Ann. Math.
        Statist. 35, 73). Numbers are learnt in standard deviations of the training targets. A list
        gives each of the network's `outputs` its own, and their losses are added.
    l1 : float
        Factor of the sum of |w| over all weight tensors in the loss (1e-4 in Hawks et al. 2021).
    average : float
        0: an epoch ends with the weights of its last step. Above: with their running mean, of which
        this share stays at each step, for example 0.999; it is judged and kept in their place.
    seed : int
        Seed of the initial weights and of the order of the frames.
    """

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(1024, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    patience: int | None = Field(None, ge=1)
    loss: Loss | tuple[Loss, ...] = CLASSES
    l1: float = Field(0.0, ge=0)
    average: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0)


class DistillationSettings(Section):
    """How a teacher's answers are learnt.

    Attributes
    ----------
    samples : int
        Inputs to mix around the training frames (see `mixing.mix_neighbours`); 0: the training
        frames themselves are the inputs.
    neighbours, along, across, noise, local
        Arguments of `mixing.mix_neighbours`.
    space : str
        Where inputs are mixed: ``standardised`` features, or ``free`` coordinates, which are known
        for the jets alone (`spaces.JetSpace`).
    temperature : float
        Temperature of the softmax of both teacher and student (Hinton et al., arXiv 1503.02531).
    teacher_inputs : str
        ``raw``: the teacher takes the features as they are in the data set; ``standardised``: as
        scaled by the data set's scaler; ``auto``: raw if the file says that it standardises (every
        model exported by this project does), else standardised.
    teacher_name : str
        Public name of the teacher, for people who have to find it.
    """

    samples: int = Field(0, ge=0)
    neighbours: int = Field(12, ge=2)
    along: tuple[float, float] = (0.0, 1.2)
    across: tuple[float, float] = (-0.2, 1.0)
    noise: float = Field(0.08, ge=0)
    local: bool = False
    space: Literal["standardised", "free"] = "standardised"
    temperature: float = Field(1.0, gt=0)
    teacher_inputs: Literal["auto", "raw", "standardised"] = "auto"
    teacher_name: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> DistillationSettings:
        for low, high in (self.along, self.across):
            if low > high:
                raise ValueError(f"expected lower ends below upper ones, found {low} and {high}")
        return self
