"""Rounds of pruning: what they start from, what they keep, and how they are taken up again."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from brevitas_models import pruning
from brevitas_models.errors import UserError
from brevitas_models.model import checkpoint, export
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train import recipe, rounds
from brevitas_models.train.loop import Job, train_many
from brevitas_models.train.recipe import Recipe
from brevitas_models.train.rounds import RoundResult, Trainee
from brevitas_models.train.rules import EpochRecord, Frames
from brevitas_models.train.store import RoundStore, digest, run_rounds
from brevitas_models.train.store import key as key_of

SHARES = [0.0, 0.3, 0.6, 0.8]


def blobs(n: int, seed: int = 0) -> Frames:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    return Frames(2 * torch.eye(3, 4)[y] + torch.randn(n, 4, generator=generator), y)


FRAMES, JUDGED = blobs(256), blobs(90, 1)


def small(schedule: str = "fine_tuning", network: dict | None = None, **pruned: object) -> Recipe:
    if schedule in ("fine_tuning", "lottery_ticket"):
        pruned = {"shares": SHARES} | pruned
    return recipe.from_dict(
        {
            "name": "small",
            "network": {"layers": [4, 12, 8, 3], **(network or {})},
            "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.02},
            "pruning": {"schedule": schedule, **pruned},
        }
    )


def same(one: RoundResult, other: RoundResult) -> bool:
    strip = [[dataclasses.replace(r, seconds=0) for r in x.history] for x in (one, other)]
    return (
        one.round == other.round
        and one.pruned == other.pruned
        and strip[0] == strip[1]
        and one.state.keys() == other.state.keys()
        and all(torch.equal(value, other.state[key]) for key, value in one.state.items())
    )


def trained(run: Recipe, store: RoundStore | None = None, **ways: Any) -> list[RoundResult]:
    (results,) = run_rounds([Trainee(run, FRAMES, JUDGED, "one")], store, **ways)
    return results


class Watch:
    """Trains as usual and keeps what each training started from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts: list[dict[str, torch.Tensor]] = []
        self.seeds: list[int] = []
        monkeypatch.setattr(rounds, "train_many", self)

    def __call__(self, jobs: list[Job], **ways: Any) -> list:
        self.starts += [rounds.copy_state(job.model) for job in jobs]
        self.seeds += [job.settings.seed for job in jobs]
        return train_many(jobs, **ways)


def originals(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [value for key, value in state.items() if key.endswith("original")]


def kept(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [value for key, value in state.items() if key.endswith("keep")]


def test_plans() -> None:
    def shares(schedule: str, **pruned: object) -> list[float]:
        return [now.share for now in rounds.plan(small(schedule, **pruned))]

    assert shares("fine_tuning") == SHARES
    assert shares("fine_tuning", shares=None) == list(pruning.PAPER_SHARES)
    assert shares("lottery_ticket", shares=None, share=0.35) == [0, 0.1, 0.2, 0.3, 0.35]
    assert shares("one_shot", share=0.7) == [0.0, 0.7]
    assert shares("gradual", share=0.7) == [0.7]
    assert [now.rewind for now in rounds.plan(small("lottery_ticket"))] == [False] + [True] * 3
    assert not any(now.rewind for now in rounds.plan(small("fine_tuning")))
    assert [now.gradual for now in rounds.plan(small("gradual", share=0.7))] == [True]


def test_shares_of_the_paper_leave_its_numbers_of_weights() -> None:
    weights = [torch.randn(n_out, n_in) for n_in, n_out in itertools.pairwise((16, 64, 32, 32, 5))]
    left = [4256, 3830, 3405, 2979, 2553, 2129, 1703, 1277, 852, 426, 142, 47]
    for share, expected in zip(pruning.PAPER_SHARES, left, strict=True):
        found = sum(int(mask.sum()) for mask in pruning.magnitude_masks(weights, share))
        assert abs(found - expected) <= 2  # the paper prunes rounded shares of what is left


def test_fine_tuning_goes_on_from_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    results = trained(small())
    for before, start in zip(results, watch.starts[1:], strict=False):
        assert any(record.best for record in before.history)
        for key, value in start.items():
            if not key.endswith("keep"):
                assert torch.equal(value, before.state[key]), key
    assert len(set(watch.seeds)) == len(SHARES), "each round takes the frames in its own order"


def test_a_lottery_ticket_goes_back_to_a_real_copy_of_its_initial_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(monkeypatch)
    run = small("lottery_ticket")
    initial = rounds.copy_state(rounds.initial_model(run))
    results = trained(run)
    for start in watch.starts[1:]:
        for key, value in start.items():
            if not key.endswith("keep"):
                assert torch.equal(value, initial[key]), key
    for result in results:
        learnt = originals(result.state)
        assert not all(map(torch.equal, learnt, originals(initial))), "nothing was learnt"
    # What is pruned comes from the trained weights of the round before, not from initial ones.
    for before, start in zip(results, watch.starts[1:], strict=False):
        model = before.model(run.network)
        share = rounds.plan(run)[before.round.index + 1].share
        expected = pruning.masks_for(model, share, run.pruning)
        assert all(map(torch.equal, kept(start), expected))


def test_schedules_differ() -> None:
    last = {name: trained(small(name))[-1] for name in ("fine_tuning", "lottery_ticket")}
    last["one_shot"] = trained(small("one_shot", share=0.8))[-1]
    last["gradual"] = trained(small("gradual", share=0.8))[-1]
    assert {round(result.pruned, 2) for result in last.values()} == {0.8}
    for one, other in itertools.combinations(last, 2):
        assert not all(map(torch.equal, originals(last[one].state), originals(last[other].state)))


@pytest.mark.parametrize("schedule", ["fine_tuning", "lottery_ticket"])
@pytest.mark.parametrize("criterion", ["magnitude", "random", "neurons", "hardware"])
def test_masks_hold_in_every_round(
    schedule: str, criterion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small(schedule, criterion=criterion)
    seen: list[torch.Tensor] = []
    forward = QuantMLP.forward

    def watched(self: QuantMLP, features: torch.Tensor) -> torch.Tensor:
        for linear in self.linears:
            assert not linear.weight[~linear.mask].any()
        seen.append(torch.cat([linear.mask.flatten() for linear in self.linears]))
        return forward(self, features)

    monkeypatch.setattr(QuantMLP, "forward", watched)
    results = trained(run)
    assert seen and all(not (late & ~early).any() for early, late in itertools.pairwise(seen))
    for result, share in zip(results, SHARES, strict=True):
        model = result.model(run.network)
        assert result.pruned == pruning.pruned_share(model.masks())
        # 168 weights; a hidden neuron has at most 15 of them.
        assert result.pruned == pytest.approx(share, abs=0.05 if criterion == "neurons" else 0.004)
        for linear in model.linears:
            assert not linear.weight[~linear.mask].any()


def exported_weights(model: QuantMLP, path: Path) -> list[np.ndarray]:
    n_in, n_out = model.config.layers[0], model.config.layers[-1]
    info = {
        "model": "m",
        "dataset": "d",
        "source": "s",
        "surrogate": False,
        "feature_names": [f"x{i}" for i in range(n_in)],
        "class_names": [f"c{i}" for i in range(n_out)],
        "metrics": {},
        "scaler": {"mean": np.zeros(n_in), "scale": np.ones(n_in)},
        "seed": 0,
        "versions": {},
    }
    checkpoint.save(path.with_suffix(".pt"), model, info)
    again, _ = checkpoint.load(path.with_suffix(".pt"))
    graph = onnx.load(export.export_qonnx(again, info, path)).graph
    arrays = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    # The layers all differ in shape, so that each is found by its own.
    by_shape = {array.shape: array for array in arrays if array.ndim == 2}
    shapes = [tuple(linear.weight.shape) for linear in model.linears]
    return [by_shape[s] if s in by_shape else by_shape[s[::-1]].T for s in shapes]


@pytest.mark.parametrize(
    "network",
    [{}, {"fold_batch_norm": True}, {"weight_scale": "per_channel", "scale": "free"}],
    ids=str,
)
@pytest.mark.parametrize("share", [0.6, 0.989])
def test_pruned_weights_are_zero_in_checkpoint_and_export(
    network: dict, share: float, tmp_path: Path
) -> None:
    run = small("one_shot", network, share=share)
    model = trained(run)[-1].model(run.network)
    zeros = 0
    for weight, mask in zip(
        exported_weights(model, tmp_path / "m.onnx"), model.masks(), strict=True
    ):
        assert (weight[~mask.numpy()] == 0).all()
        zeros += int((~mask).sum())
    assert zeros == round(share * 168)
    with torch.no_grad():
        assert model(FRAMES.x).isfinite().all()


def stopping(monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    """Interrupt a training when so many rounds have been kept."""
    add, kept = RoundStore.add, []

    def interrupted(self: RoundStore, key: str, result: RoundResult) -> bool:
        if len(kept) == stop:
            raise KeyboardInterrupt
        kept.append(key)
        return add(self, key, result)

    monkeypatch.setattr(RoundStore, "add", interrupted)


@pytest.mark.parametrize("schedule", ["fine_tuning", "lottery_ticket"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_taken_up_again_after_any_round(
    schedule: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small(schedule)
    undisturbed = trained(run)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, stop)
        trained(run, RoundStore(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["one.pt"]
    epochs: set[int] = set()
    resumed = trained(run, RoundStore(tmp_path), on_epoch=lambda now, record: epochs.add(now.index))
    assert sorted(epochs) == list(range(stop, len(SHARES)))
    assert all(map(same, undisturbed, resumed)) and len(resumed) == len(undisturbed)

    # All done: nothing is trained, the same comes back.
    monkeypatch.setattr(rounds, "train_many", lambda *_, **__: pytest.fail("trained again"))
    assert all(map(same, resumed, trained(run, RoundStore(tmp_path))))


def test_interrupted_within_a_round(tmp_path: Path) -> None:
    run = small()
    undisturbed = trained(run)

    def interrupted(now: rounds.Round, record: EpochRecord) -> None:
        if (now.index, record.epoch) == (2, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(run, RoundStore(tmp_path), on_epoch=interrupted)
    assert all(map(same, undisturbed, trained(run, RoundStore(tmp_path))))


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_trained_side_by_side_and_taken_up_again(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small()
    both = [Trainee(run, FRAMES, JUDGED, "a"), Trainee(run, blobs(260, 5), JUDGED, "b")]
    assert rounds.side_by_side([*both, Trainee(run, blobs(90), JUDGED)]) == [[0, 1], [2]]
    undisturbed = run_rounds(both)
    assert not same(undisturbed[0][-1], undisturbed[1][-1])
    for one, other in zip(undisturbed[0], trained(run), strict=True):
        assert one.best.validation_loss == pytest.approx(other.best.validation_loss, rel=1e-3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stopping(patch, stop)
        run_rounds(both, RoundStore(tmp_path))
    resumed = run_rounds(both, RoundStore(tmp_path))
    for one, other in zip(undisturbed, resumed, strict=True):
        assert len(one) == len(other) == len(SHARES)
        assert all(map(same, one, other))


def test_keys_name_all_that_decides_a_result() -> None:
    run, frames = small("one_shot", share=0.5), digest(FRAMES.x.numpy(), FRAMES.target.numpy())
    plain = key_of(run, frames)
    assert plain == key_of(run.model_copy(update={"name": "other"}), frames)
    assert plain == key_of(run.replace("data", source="elsewhere"), frames)
    others = [
        key_of(small("one_shot", share=0.6), frames),
        key_of(run.replace("training", seed=1), frames),
        key_of(run, digest(blobs(256, 5).x.numpy(), FRAMES.target.numpy())),
        key_of(run, frames, "compiled"),
    ]
    assert len({plain, *others}) == 5


@pytest.mark.parametrize("content", [b"nothing of the kind", {"format": "x"}])
def test_damaged_files_are_refused(content: object, tmp_path: Path) -> None:
    file = tmp_path / "one.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match=r"one\.pt: expected the finished rounds .* remove it"):
        trained(small(), RoundStore(tmp_path))


def test_seed_changes_everything() -> None:
    run = small("one_shot", share=0.5)
    one = trained(run)[-1]
    other = trained(run.replace("training", seed=1))[-1]
    assert not all(map(torch.equal, originals(one.state), originals(other.state)))
    assert same(one, trained(run)[-1])


def test_gradual_pruning_by_chance_follows_the_seed() -> None:
    masks = []
    for seed in (0, 1):
        run = small("gradual", share=0.5, criterion="random").replace("training", seed=seed)
        result = trained(run)[-1]
        model = rounds.initial_model(run)
        expected = pruning.masks_for(model, 0.5, run.pruning, seed)
        assert all(map(torch.equal, kept(result.state), expected))
        masks.append(kept(result.state))
    assert not all(map(torch.equal, *masks))


def test_all_of_the_papers_rounds_end_well() -> None:
    run = small("lottery_ticket", {"layers": [4, 20, 16, 16, 3]}, shares=None)
    results = trained(run)
    assert len(results) == 12
    last = results[-1].model(run.network)
    assert sum(int(mask.sum()) for mask in last.masks()) == round(0.011 * 704)
    assert any(not mask.any(dim=1).all() for mask in last.masks()), "neurons are empty"
    with torch.no_grad():
        assert last(JUDGED.x).isfinite().all()
