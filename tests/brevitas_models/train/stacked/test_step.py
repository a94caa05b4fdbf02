"""One step of a stack: the frames it takes, and Adam."""

import pytest
import torch
import torch.nn.functional as F

from brevitas_models.errors import UserError
from brevitas_models.model.quant_mlp import QuantMLP
from brevitas_models.train import recipe, rounds
from brevitas_models.train.stacked import compiling
from brevitas_models.train.stacked.stack import Stack
from brevitas_models.train.stacked.step import FramePool, Step, rates


def fresh(seed: int) -> QuantMLP:
    network = {
        "layers": [6, 8, 3],
        "weight_bits": 32,
        "act_bits": 32,
        "input_bits": 32,
        "batch_norm": "off",
    }
    settings = {"name": "t", "network": network, "training": {"seed": seed}}
    return rounds.initial_model(recipe.from_dict(settings))


def frames(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=generator), torch.arange(n) % 3


def test_steps_are_those_of_torch_adam() -> None:
    models, lonely = [fresh(0), fresh(1)], [fresh(0), fresh(1)]
    x, y = frames(80)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(1)).view(4, 20)
    stack = Stack(models)
    step = Step(stack, 1.0, compiled=False)
    with torch.no_grad():
        for index, rows in enumerate(order):
            now = torch.tensor(rates(0.01 / (1 + index), index + 1))
            step(FramePool(x, y, (0, 0)), rows[None], None, None, now)
    losses = []
    for model in lonely:
        model.train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        losses.append(0.0)
        for index, rows in enumerate(order):
            optimizer.param_groups[0]["lr"] = 0.01 / (1 + index)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            losses[-1] += float(loss.detach())
            loss.backward()
            optimizer.step()
    for one, other, loss, total in zip(models, lonely, losses, step.total.tolist(), strict=True):
        assert total == pytest.approx(loss, rel=1e-5)
        for name, value in other.state_dict().items():
            if "num_batches" not in name:
                torch.testing.assert_close(one.state_dict()[name], value, atol=2e-5, rtol=1e-4)


def test_where_compiling_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/g++")
    assert compiling.decided("auto", compiling.WORTH)
    assert not compiling.decided("auto", compiling.WORTH - 1)
    assert compiling.decided(True, 1) and not compiling.decided(False, compiling.WORTH)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not compiling.decided("auto", compiling.WORTH)
    with pytest.raises(UserError, match=r"--compiled: torch compiles with g\+\+.*leave it out"):
        compiling.check_compiler("--compiled", "leave it out")


def test_models_with_the_same_frames_share_them() -> None:
    (x, y), (x2, y2) = frames(9), frames(5, 1)
    pool = FramePool.of([x, x2, x], [y, y2, y])
    assert pool.starts == (0, 9, 0)
    assert torch.equal(pool.x, torch.cat([x, x2]))
    assert torch.equal(pool.target, torch.cat([y, y2]))
    assert FramePool.of([x, x], [y, y]).x is x


def test_each_model_learns_from_its_own_rows_by_class_or_probability() -> None:
    x, y = frames(30)
    pool = FramePool.of([x, x.flip(1)], [y, y])
    order = torch.stack([torch.arange(12), 30 + torch.arange(5, 17)])
    totals = []
    for target in (pool.target, F.one_hot(pool.target, 3).float()):
        step = Step(Stack([fresh(0), fresh(0)]), 1.0, compiled=False)
        with torch.no_grad():
            step(
                FramePool(pool.x, target, pool.starts),
                order,
                None,
                None,
                torch.tensor(rates(0.1, 1)),
            )
        totals.append(step.total)
    torch.testing.assert_close(totals[0], totals[1])
    for at, inputs in enumerate((x[:12], x.flip(1)[5:17])):
        model = fresh(0).train()
        wanted = F.cross_entropy(model(inputs), y[(slice(0, 12), slice(5, 17))[at]]).detach()
        assert float(totals[0][at]) == pytest.approx(float(wanted), rel=1e-5)
