"""The sections of a recipe: how a model is trained, on what, and how much of it is pruned."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from brevitas_models.yaml_file import Section


class DataSettings(Section):
    """What the model learns from; the keys are the arguments of `datasets.load`.

    Attributes
    ----------
    dataset : str
        Name of a built-in data set, or the path of a file.
    source : str or None
        Where a built-in data set comes from, if it has several sources.
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
    l1 : float
        Factor of the sum of |w| over all weight tensors in the loss (1e-4 in Hawks et al. 2021).
    seed : int
        Seed of the initial weights and of the order of the frames.
    """

    epochs: int = Field(100, ge=1)
    batch_size: int = Field(1024, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    patience: int | None = Field(None, ge=1)
    l1: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0)


Share = Annotated[float, Field(ge=0, lt=1)]


class PruningSettings(Section):
    """When how many weights are pruned, and which.

    Attributes
    ----------
    schedule : str
        ``gradual``: one training, in which the pruned share rises from 0 to `share` between two
        points; what is left of the training is for the surviving weights. ``one_shot``: a training
        with all weights, then one with the share `share` pruned. ``fine_tuning``: a training for
        each of `shares`, each of which goes on from the best weights of the one before.
        ``lottery_ticket``: the same, but surviving weights, and all else that is trained, go back
        to their initial values before each training (Frankle and Carbin, arXiv 1803.03635).
    share : float
        Share of all weights that is zero in the end, 0 <= share < 1.
    shares : tuple of float or None
        Shares pruned before each training of ``fine_tuning`` and ``lottery_ticket``, rising, in
        the place of `share`. None: those of the twelve of Hawks et al. 2021
        (`pruning.PAPER_SHARES`) that are below `share`, and `share`; where that is 0, all twelve.
    start, end : float
        Parts of all steps of a ``gradual`` training where the share starts to rise and where it is
        reached, 0 <= start < end <= 1.
    criterion : str
        What goes first: ``magnitude``: the smallest weights; ``random``: any (a control);
        ``neurons``: whole hidden neurons, those with the smallest mean weight; ``hardware``: the
        weights with the least magnitude, as seen by their layer, per LUT that is saved without
        them.
    scope : str
        ``global``: all layers are ranked together; ``per_layer``: each loses the same share.
    cost : str
        What ``hardware`` takes a weight to cost. ``digits``: the non-zero signed digits of the
        quantised weight, times the bits of the layer's input; ``estimate``: the digits, times what
        one costs in this layer by the build's own estimate, computed anew before each training.
    """

    schedule: Literal["gradual", "one_shot", "fine_tuning", "lottery_ticket"] = "gradual"
    share: Share = 0.0
    shares: tuple[Share, ...] | None = Field(None, min_length=1)
    start: float = Field(0.1, ge=0, lt=1)
    end: float = Field(0.6, gt=0, le=1)
    criterion: Literal["magnitude", "random", "neurons", "hardware"] = "magnitude"
    scope: Literal["global", "per_layer"] = "global"
    cost: Literal["digits", "estimate"] = "digits"

    @model_validator(mode="after")
    def _in_order(self) -> PruningSettings:
        if self.start >= self.end:
            raise ValueError(f"expected start below end, found {self.start} and {self.end}")
        if self.shares is not None and list(self.shares) != sorted(self.shares):
            raise ValueError(f"expected shares that never fall, found {list(self.shares)}")
        return self

    @model_validator(mode="after")
    def _of_this_schedule(self) -> PruningSettings:
        in_rounds = self.schedule in ("fine_tuning", "lottery_ticket")
        if self.shares is not None and not in_rounds:
            raise ValueError(f"schedule {self.schedule} takes share, a number, found shares")
        if self.shares is not None and self.share:
            raise ValueError(
                f"expected either share or shares, a list, found {self.share} and "
                f"{list(self.shares)}"
            )
        if self.schedule == "gradual" and self.cost == "estimate":
            raise ValueError(
                "cost estimate takes seconds and gradual prunes at every step; expected another "
                "schedule, or cost digits"
            )
        if self.cost != "digits" and self.criterion != "hardware":
            raise ValueError(f"cost is of criterion hardware, found criterion {self.criterion}")
        return self


class DistillationSettings(Section):
    """How a teacher's answers are learnt.

    Attributes
    ----------
    samples : int
        Inputs to mix around the training frames (see `distill.mix_neighbours`); 0: the training
        frames themselves are the inputs.
    neighbours, along, across, noise
        Arguments of `distill.mix_neighbours`.
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
    temperature: float = Field(1.0, gt=0)
    teacher_inputs: Literal["auto", "raw", "standardised"] = "auto"
    teacher_name: str = ""

    @model_validator(mode="after")
    def _in_order(self) -> DistillationSettings:
        for low, high in (self.along, self.across):
            if low > high:
                raise ValueError(f"expected lower ends below upper ones, found {low} and {high}")
        return self
