"""Running studies: rows, resuming, failures, processes and clusters."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from brevitas_models.errors import UserError
from brevitas_models.study import config, plans, runner, store, table, work
from brevitas_models.study.data import StudyData
from brevitas_models.study.points import grid_points
from brevitas_models.study.pool import Pool
from brevitas_models.train import rounds
from brevitas_models.train.hooks import Hooks
from brevitas_models.train.progress import Reporter
from brevitas_models.train.rounds import RoundResult, Trainee
from brevitas_models.train.store import run_rounds
from tests.brevitas_models.study.conftest import MINI

Make = Callable[..., config.Study]
Rows = Callable[..., list[table.Row]]


def test_one_row_for_each_round(mini: Make, rows_of: Rows, tmp_path: Path) -> None:
    rows = rows_of(mini(), tmp_path / "out")
    assert len(rows) == 4 * 3
    assert {(row["bits"], row["schedule"], row["round"]) for row in rows} == {
        (bits, schedule, round_)
        for bits in (32, 4)
        for schedule in ("fine_tuning", "lottery_ticket")
        for round_ in range(3)
    }
    assert [row["pruned"] for row in rows[:3]] == [
        pytest.approx(s, abs=1e-3) for s in (0, 0.5, 0.9)
    ]
    for row in rows:
        assert 0.05 < row["accuracy"] <= 1 and row["bops"] > 0 and row["frames"] == 359
        assert row["remaining_weights"] == pytest.approx(
            (64 * 12 + 120) * (1 - row["share"]), abs=1
        )
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {"schedules.svg"}
    losses = {
        (row["schedule"], row["round"]): row["validation_loss"] for row in rows if row["bits"] == 4
    }
    assert losses["fine_tuning", 0] == losses["lottery_ticket", 0]
    assert losses["fine_tuning", 2] != losses["lottery_ticket", 2], "rewinding did nothing"


def test_rows_are_those_of_training_alone(mini: Make, rows_of: Rows, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4], "schedule": ["lottery_ticket"], "seed": [0, 1]}])
    rows = rows_of(study, tmp_path / "out")
    frames = StudyData(study, None)
    for point in grid_points(study):
        x, y, x_val, y_val, *_ = (torch.from_numpy(frames.arrays[i]) for i in frames.of(point))
        (results,) = run_rounds(
            [Trainee(point.recipe, work.Frames(x, y), work.Frames(x_val, y_val))]
        )
        mine = [row for row in rows if row["seed"] == point.recipe.training.seed]
        for row, result in zip(mine, results, strict=True):
            assert row["validation_loss"] == pytest.approx(result.best.validation_loss, rel=1e-5)


@pytest.mark.parametrize("stop", [1, 7])
def test_a_stopped_study_ends_with_the_same_rows(
    stop: int, mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = mini(bayes={"bits": [4], "trials": 3, "epochs": 1, "startup": 2, "sizes": [[4, 12]]})
    whole = runner.run(study, tmp_path / "whole", processes=1)
    add, added = store.Store.add, []

    def stopping(self: store.Store, key: str, result: RoundResult) -> bool:
        if len(added) == stop:
            raise KeyboardInterrupt
        added.append(key)
        return add(self, key, result)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.Store, "add", stopping)
        runner.run(study, tmp_path / "part", processes=1)
    trained: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            store.Store, "add", lambda self, *args: trained.append(add(self, *args)) or True
        )
        parts = runner.run(study, tmp_path / "part", processes=1)
    assert parts.read_text() == whole.read_text()
    assert sum(trained) == len(table.read(whole)) - stop, "finished rounds were trained again"
    again: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "add", lambda self, *_: again.append(1) or True)
        assert runner.run(study, tmp_path / "part", processes=1).read_text() == whole.read_text()
    assert not again


@pytest.mark.slow
def test_a_killed_study_ends_with_the_same_rows(tmp_path: Path, repo: Path) -> None:
    values = MINI | {"grids": [{"bits": [32, 6, 4, 3], "schedule": ["lottery_ticket"]}]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))

    def command(out: str) -> list[str]:
        file = str(tmp_path / "study.yaml")
        return [sys.executable, str(repo / "train.py"), "study", file, "--out", out]

    part, whole = tmp_path / "part", tmp_path / "whole"
    process = subprocess.Popen(
        [*command(str(part)), "--processes", "2"], start_new_session=True, stdout=subprocess.DEVNULL
    )
    limit = time.monotonic() + 300
    while not list((part / "points").glob("*.pt")) and time.monotonic() < limit:
        assert process.poll() is None, "the study ended before it was killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for out in (part, whole):
        subprocess.run([*command(str(out)), "--processes", "1"], check=True, capture_output=True)
    assert (part / "table.csv").read_text() == (whole / "table.csv").read_text()
    assert len(table.read(whole / "table.csv")) == 12


def test_stack_width_changes_nothing_but_the_order_of_work(
    mini: Make, rows_of: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    train_many = rounds.train_many
    monkeypatch.setattr(
        rounds, "train_many", lambda jobs, **o: widths.append(len(jobs)) or train_many(jobs, **o)
    )
    grid = [{"bits": [4], "seed": [0, 1, 2]}]
    tables = [
        rows_of(mini(grids=grid, compute={"width": width}), tmp_path / str(width))
        for width in (1, 3)
    ]
    assert set(widths[:9]) == {1} and set(widths[9:]) == {3}
    for one, other in zip(*tables, strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-4)


def test_compiled_is_asked_for(mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def stub(jobs: Any, *, compiled: object, **rest: Any) -> Any:
        asked.append(compiled)
        raise UserError("enough")

    monkeypatch.setattr(rounds, "train_many", stub)
    for compiled in (True, False, "auto"):
        study = mini(compute={"compiled": compiled, "attempts": 1}, grids=[{"bits": [4]}])
        with pytest.raises(runner.Incomplete):
            runner.run(study, tmp_path / str(compiled), processes=1)
    assert asked == [True, False, "auto"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"compute\.compiled: torch compiles with g\+\+"):
        runner.run(mini(compute={"compiled": True}), tmp_path / "none", processes=1)


def test_failures_are_recorded_and_retried(
    mini: Make, rows_of: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = mini(grids=[{"bits": [4], "seed": [0, 1]}], compute={"width": 2, "attempts": 2})
    out = tmp_path / "out"
    train = work._train
    calls: list[int] = []

    def broken(task: work.Task, members: tuple[work.Member, ...], tensors: Any) -> Any:
        calls.append(len(members))
        if task.round == 1 and any(m.recipe.training.seed == 1 for m in members):
            raise RuntimeError("no luck")
        return train(task, members, tensors)

    with monkeypatch.context() as patch:
        patch.setattr(work, "_train", broken)
        with pytest.raises(
            runner.Incomplete, match=r"1 trainings failed; .*failures\.csv"
        ) as caught:
            runner.run(study, out, processes=1)
    assert caught.value.exit_code == 1
    rows = table.read(out / "table.csv")
    assert [(row["seed"], row["round"]) for row in rows] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    lines = (out / "failures.csv").read_text().splitlines()
    assert len(lines) == 1 + study.compute.attempts
    assert all("RuntimeError: no luck" in line for line in lines[1:])
    # The sound one went on alone; the next run trains what is missing.
    rows = rows_of(study, out)
    assert [(row["seed"], row["round"]) for row in rows] == [
        (s, r) for s in (0, 1) for r in range(3)
    ]


def test_lost_workers_are_recorded_and_work_is_given_again(
    mini: Make, rows_of: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = mini(grids=[{"bits": [4]}]), tmp_path / "out"
    whole, lost = Pool.map, []

    def losing(self: Pool, tasks: Any) -> Iterator[Any]:
        if not lost:
            lost.append(1)
            raise runner.Lost("TerminatedWorkerError: killed")
        yield from whole(self, tasks)

    monkeypatch.setattr(Pool, "map", losing)
    assert len(rows_of(study, out)) == 3
    assert "TerminatedWorkerError: killed" in (out / "failures.csv").read_text()
    lost.clear()
    once = mini(grids=[{"bits": [4]}], compute={"attempts": 1})
    with pytest.raises(runner.Incomplete, match="workers were lost 1 times"):
        runner.run(once, tmp_path / "other", processes=1)


def test_two_processes_give_the_rows_of_one(mini: Make, tmp_path: Path) -> None:
    one = runner.run(mini(), tmp_path / "one", processes=1)
    two = runner.run(mini(), tmp_path / "two", processes=2)
    assert one.read_text() == two.read_text()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_gives_the_same_rows(
    mini: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    study = mini(grids=[{"bits": [32, 8, 6, 4], "schedule": ["lottery_ticket"]}])
    here = runner.run(study, tmp_path / "here", processes=1)
    killed: list[int] = []
    add = store.Store.add
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]

        def killing(self: store.Store, key: str, result: RoundResult) -> bool:
            if not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)
            return add(self, key, result)

        monkeypatch.setattr(store.Store, "add", killing)
        there = runner.run(study, tmp_path / "there", dask=cluster.scheduler_address)
    assert killed
    assert there.read_text() == here.read_text()


def test_no_cluster_at_the_address(mini: Make, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UserError, match=r"--dask nowhere://1: no scheduler answers there"):
        runner.run(mini(), tmp_path / "out", dask="nowhere://1")


def test_two_runs_in_one_folder(mini: Make, tmp_path: Path) -> None:
    import filelock

    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(UserError, match="another run"):
        runner.run(mini(), tmp_path, processes=1)


def test_what_can_not_be_trained_is_said_before(mini: Make, tmp_path: Path) -> None:
    bipolar = mini(network={"weight_bits": 1}, grids=[{"seed": [0]}])
    with pytest.raises(UserError, match=r"base\.pruning: networks with bits 1 can't be pruned"):
        runner.run(bipolar, tmp_path / "a", processes=1)
    wrong = mini(network={"layers": [16, 8, 5]}, grids=[{"bits": [4]}])
    with pytest.raises(UserError, match=r"network\.layers: the data set digits has 64 features"):
        runner.run(wrong, tmp_path / "b", processes=1)


def test_damaged_points_are_named(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}])
    runner.run(study, tmp_path, processes=1)
    (path,) = (tmp_path / "points").glob("*.pt")
    path.write_bytes(b"what")
    with pytest.raises(UserError, match=f"{path.name}: expected the finished rounds of a training"):
        runner.run(study, tmp_path, processes=1)


def test_a_round_is_never_there_twice(tmp_path: Path) -> None:
    row = {"point": "a", "round": 1}
    with pytest.raises(ValueError, match="twice"):
        table.write(tmp_path / "table.csv", [row, {"point": "b", "round": 1}, row])
    assert not (tmp_path / "table.csv").exists()


def test_random_labels_are_learnt_less_well(mini: Make, rows_of: Rows, tmp_path: Path) -> None:
    study = mini(
        training={"epochs": 4}, pruning={"shares": [0]}, grids=[{"random_labels": [0, 0.9]}]
    )
    true, noisy = rows_of(study, tmp_path / "out")
    assert noisy["accuracy"] < true["accuracy"] - 0.1


def test_folds_measure_different_frames(mini: Make, rows_of: Rows, tmp_path: Path) -> None:
    study = mini(data={"folds": 2}, pruning={"shares": [0]}, grids=[{"bits": [4]}])
    one, other = rows_of(study, tmp_path / "out")
    assert (one["fold"], other["fold"]) == (0, 1)
    assert one["frames"] + other["frames"] == 1797
    assert one["accuracy"] != other["accuracy"]


def test_command_line(mini: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import train

    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(MINI | {"grids": [{"bits": [4]}]}))
    out = tmp_path / "out"
    asked = ["study", str(file), "--out", str(out), "--processes", "1", "--quiet"]
    assert train.main(asked) == 0
    assert capsys.readouterr().out.strip().startswith("3 rows in ")
    assert train.main(["study", str(file)]) == 2
    assert "--out" in capsys.readouterr().err
    assert train.main([*asked, "--processes", "0"]) == 2
    assert train.main([*asked, "--source", "openml"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_plans_are_quiet_when_all_is_done(mini: Make, tmp_path: Path) -> None:
    study = mini(grids=[{"bits": [4]}])
    runner.run(study, tmp_path, processes=1, reporter=Reporter(quiet=True))
    frames = StudyData(study, None)
    grid = grid_points(study)
    progress = plans.Progress(store.Store(tmp_path), frames, 1)
    (plan,) = plans.plans(study, grid, frames)
    assert plan.steps(progress) == []


def test_a_users_file_is_read_by_what_is_passed_in(mini: Make, tmp_path: Path) -> None:
    from deploy.tables import read_table

    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 4)).astype(np.float32)
    np.savez(tmp_path / "toy.npz", X=x, y=x[:, :3].argmax(1))
    study = mini(
        network={"layers": [4, 6, 3]},
        data={"dataset": str(tmp_path / "toy.npz")},
        grids=[{"bits": [4]}],
    )
    with pytest.raises(UserError, match="read_table"):
        runner.run(study, tmp_path / "out", processes=1)
    hooks = Hooks(read_table=read_table)
    rows = table.read(runner.run(study, tmp_path / "out", processes=1, hooks=hooks))
    assert len(rows) == 3
