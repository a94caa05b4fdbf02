"""The section `pruning` of a recipe: when how many weights are pruned, and which."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from brevitas_models.yaml_file import Section

Share = Annotated[float, Field(ge=0, lt=1)]


class PruningSettings(Section):
    """When how many weights are pruned, and which."""

    # ``gradual``: one training, in which the pruned share rises from 0 to `share` between two
    # points; what is left of the training is for the surviving weights. ``one_shot``: a training
    # with all weights, then one with the share `share` pruned. ``fine_tuning``: a training for each
    # of `shares`, each of which goes on from the best weights of the one before.
    # ``lottery_ticket``: the same, but surviving weights, and all else that is trained, go back to
    # their initial values before each training (Frankle and Carbin, arXiv 1803.03635).
    schedule: Literal["gradual", "one_shot", "fine_tuning", "lottery_ticket"] = "gradual"
    share: Share = 0.0  # share of all weights that is zero in the end, 0 <= share < 1
    # Shares pruned before each training of ``fine_tuning`` and ``lottery_ticket``, rising, in the
    # place of `share`. None: those of the twelve of Hawks et al. 2021 (`pruning.PAPER_SHARES`) that
    # are below `share`, and `share`; where that is 0, all twelve.
    shares: tuple[Share, ...] | None = Field(None, min_length=1)
    # Parts of all steps of a ``gradual`` training where the share starts to rise and where it is
    # reached, 0 <= start < end <= 1
    start: float = Field(0.1, ge=0, lt=1)
    end: float = Field(0.6, gt=0, le=1)
    # What goes first: ``magnitude``: the smallest weights; ``random``: any (a control);
    # ``neurons``: whole hidden neurons, those with the smallest mean weight; ``hardware``: the
    # weights with the least magnitude, as seen by their layer, per LUT that is saved without them
    criterion: Literal["magnitude", "random", "neurons", "hardware"] = "magnitude"
    # ``global``: all layers are ranked together; ``per_layer``: each loses the same share
    scope: Literal["global", "per_layer"] = "global"
    # What ``hardware`` takes a weight to cost (a table: see `prices.table_luts`). ``digits``: the
    # non-zero signed digits of the quantised weight, times the bits of the layer's input;
    # ``estimate``: the digits, times what one costs in this layer by the build's own estimate,
    # computed again before each training.
    cost: Literal["digits", "estimate"] = "digits"
    # LUTs that all edges may cost in the end, in the place of `share`, for the schedule
    # ``gradual``: from `start` to `end` what they may cost falls from what they cost at the start
    # to this, edges of the least `saliencies` for a LUT go first, and from there on the network
    # stays within it. Prices are those of `prices.edge_prices`, or the build's where training is
    # given its function.
    lut_budget: int | None = Field(None, ge=1, strict=True)

    @model_validator(mode="after")
    def _in_order(self) -> PruningSettings:
        if self.start >= self.end:
            raise ValueError(f"expected start below end, found {self.start} and {self.end}")
        if self.shares is not None and list(self.shares) != sorted(self.shares):
            raise ValueError(f"expected shares that never fall, found {list(self.shares)}")
        return self

    @model_validator(mode="after")
    def _of_a_budget(self) -> PruningSettings:
        if self.lut_budget is not None and (self.share or self.schedule != "gradual"):
            raise ValueError(
                f"lut_budget takes the place of share in the schedule gradual, found share "
                f"{self.share} and schedule {self.schedule}"
            )
        if self.lut_budget is not None and (self.criterion, self.scope) != ("magnitude", "global"):
            raise ValueError(
                f"lut_budget: edges go by what they do for a LUT, in all layers together; leave "
                f"criterion and scope out, found {self.criterion} and {self.scope}"
            )
        return self

    @property
    def prunes(self) -> bool:
        """Whether anything is to be pruned while training."""
        return self.share > 0 or self.lut_budget is not None

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
