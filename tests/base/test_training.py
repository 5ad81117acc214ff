"""The loop on a model whose answers are known: least squares with noise drawn on the fly."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from pydantic import Field, ValidationError
from torch import nn

from madpipe.base.errors import InputError
from madpipe.base.training import History, Schedule, drawn_ahead, load_tensors, save_tensors, train
from madpipe.base.training_config import Batch, Steps, TrainingConfig, ValidateEvery

TRUE = torch.tensor([1.0, -2.0, 0.5])


def make_model(seed=0):
    """A linear map with batch norm before it, so that buffers are part of the state."""
    model = nn.Sequential(nn.BatchNorm1d(3, dtype=torch.float64), nn.Linear(3, 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model[1].parameters():
            parameter.normal_(0, 1, generator=generator)
    return model


def draw(step, generator):
    x = torch.randn(32, 3, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(32, generator=generator, dtype=torch.float64)
    return x, x @ TRUE.double() + noise


def squared(model, batch):
    x, y = batch
    value = (model(x)[:, 0] - y).square().mean()
    return value, {"squared": value, "half": value / 2}


def schedule(**changes):
    values = {
        "steps": 40,
        "learning_rate": 0.1,
        "weight_decay": 0.0,
        "gradient_clip": 1e6,
        "validate_every": 5,
        "patience": 99,
    }
    return Schedule(**(values | changes))


def validation_batches():
    generator = torch.Generator().manual_seed(99)
    return [draw(0, generator) for _ in range(3)]


def run(checkpoint=None, draw=draw, plan=None, seed=7, fingerprint="a"):
    model = make_model()
    generator = torch.Generator().manual_seed(seed)
    history = train(
        model,
        draw,
        squared,
        validation_batches(),
        plan or schedule(),
        generator,
        checkpoint=checkpoint,
        fingerprint=fingerprint,
    )
    return model, history, generator


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_finds_the_least_squares_solution():
    model, history, _ = run(plan=schedule(steps=300, learning_rate=0.05, validate_every=20))
    model.eval()
    x = torch.eye(3, dtype=torch.float64)
    slopes = (model(x) - model(torch.zeros(1, 3, dtype=torch.float64))).detach()[:, 0]
    # 300 steps of 32 draws with noise 0.1; the last hundred, at falling rate, average to 0.1 / sqrt(3200) = 0.002,
    # and batch norm's running variance is known to sqrt(2 / (32 * 19)) = 0.06 of the slope: 4 of these
    torch.testing.assert_close(slopes, TRUE.double(), rtol=4 * 0.06, atol=0.02)
    # noise of variance 0.01 is what remains at best: mean of 96 squares has relative spread sqrt(2 / 96)
    assert min(history.validation_loss) < 0.01 * (1 + 4 * math.sqrt(2 / 96)) * 1.3
    assert min(history.validation_loss) > 0.01 * (1 - 4 * math.sqrt(2 / 96))


def test_history_is_complete_and_goes_into_json():
    _, history, _ = run()
    assert history.step == list(range(1, 41))
    assert history.validation_step == list(range(5, 41, 5))
    assert history.terms["half"] == pytest.approx([value / 2 for value in history.training_loss], rel=1e-12)
    assert history.validation_terms["squared"] == pytest.approx(history.validation_loss, rel=1e-12)
    assert history.stopped == "steps"
    assert History(**json.loads(json.dumps(history.as_dict()))) == history


def test_learning_rate_falls_along_a_cosine():
    _, history, _ = run()
    expected = [0.05 * (1 + math.cos(math.pi * step / 40)) for step in range(40)]
    assert history.learning_rate == pytest.approx(expected, rel=1e-10, abs=1e-15)


def fading(step, generator):
    """Learns the opposite from step 20 on."""
    x, y = draw(step, generator)
    return x, y if step < 20 else -y


def test_weights_of_the_least_validation_loss_are_kept():
    model, history, _ = run(draw=fading, plan=schedule(steps=60, learning_rate=0.3))
    assert 0 < history.best_step < 60
    model.eval()
    with torch.no_grad():
        again = [squared(model, batch)[0] for batch in validation_batches()]
    assert float(torch.stack(again).mean()) == min(history.validation_loss)
    assert history.validation_loss[history.validation_step.index(history.best_step)] == min(history.validation_loss)


def test_stops_early_after_patience_validations_without_gain():
    _, history, _ = run(draw=fading, plan=schedule(steps=400, patience=3, learning_rate=0.3))
    assert history.stopped == "no gain"
    assert history.validation_step[-1] == history.step[-1] < 400
    assert sum(step > history.best_step for step in history.validation_step) == 3


def test_gradient_is_clipped_to_the_norm_asked_for():
    seen = []

    def watching(model, batch):
        grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        seen.append(grads)
        return squared(model, batch)

    model = make_model()
    limit = 1e-3
    history = train(
        model, draw, watching, validation_batches(), schedule(gradient_clip=limit, steps=5), torch.Generator()
    )
    last = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm()
    assert float(last) == pytest.approx(limit, rel=1e-3)  # clip_grad_norm_ adds 1e-6 to the norm it divides by
    assert min(history.gradient_norm) > 10 * limit  # and what is kept is the norm before


@pytest.mark.parametrize("stop_at", [3, 5, 12, 37])
def test_interrupted_training_goes_on_to_the_same_bits(tmp_path, stop_at):
    model, history, generator = run()
    path = tmp_path / "train.ckpt"

    def pulled_plug(step, source):
        if step == stop_at:
            raise KeyboardInterrupt
        return draw(step, source)

    with pytest.raises(KeyboardInterrupt):
        run(path, draw=pulled_plug)
    assert path.exists() == (stop_at >= 5)
    done = []

    def counting(step, source):
        done.append(step)
        return draw(step, source)

    resumed, resumed_history, resumed_generator = run(path, draw=counting, seed=12345 if stop_at >= 5 else 7)
    assert done[0] == stop_at // 5 * 5
    assert same(weights_of(model), weights_of(resumed))
    assert resumed_history == history
    assert torch.equal(generator.get_state(), resumed_generator.get_state())


KILLED = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
torch.set_flush_denormal(True)
torch.set_default_dtype(torch.float64)
sys.path.insert(0, {folder!r})
import test_training as case

def slow(step, generator):
    time.sleep(0.05 if step < 400 else 600)  # it never ends by itself
    return case.draw(step, generator)

case.run(Path({path!r}), draw=slow, plan=case.schedule(steps=500))
"""


def test_killed_training_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "train.ckpt"
    code = KILLED.format(folder=str(Path(__file__).parent), path=str(path))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.6)  # some more checkpoints, and into the middle of whatever it does then
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended by itself: nothing was interrupted"
    plan = schedule(steps=500)
    reached = len(load_tensors(path, "checkpoint", ("history",))["history"]["step"])
    assert 0 < reached < 500
    resumed, resumed_history, _ = run(path, plan=plan)
    model, history, _ = run(plan=plan)
    assert same(weights_of(model), weights_of(resumed))
    assert resumed_history == history


def test_finished_training_is_not_repeated(tmp_path):
    path = tmp_path / "train.ckpt"
    model, history, _ = run(path)

    def never(step, generator):
        raise AssertionError("a batch was drawn")

    again, history_again, _ = run(path, draw=never)
    assert same(weights_of(model), weights_of(again))
    assert history_again == history


def test_checkpoint_of_another_configuration_is_left_aside(tmp_path, caplog):
    path = tmp_path / "train.ckpt"
    run(path, plan=schedule(learning_rate=0.3), fingerprint="old")
    with caplog.at_level("INFO", logger="madpipe"):
        model, history, _ = run(path, fingerprint="new")
    assert "starts anew" in caplog.text
    fresh, fresh_history, _ = run(fingerprint="new")
    assert same(weights_of(model), weights_of(fresh))
    assert history == fresh_history
    assert load_tensors(path, "checkpoint", ("fingerprint",))["fingerprint"] == "new"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "truncated", "other tensors"])
def test_what_is_no_checkpoint_is_refused_and_stays(tmp_path, content):
    path = tmp_path / "train.ckpt"
    if content == "truncated":
        run(path)
        path.write_bytes(path.read_bytes()[:-200])
    elif content == "other tensors":
        save_tensors(path, {"weights": torch.ones(3)})
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(InputError, match="checkpoint"):
        run(path)
    assert path.read_bytes() == before


def test_divergence_is_named_with_the_remedy():
    def infinite(model, batch):
        value, terms = squared(model, batch)
        return value * math.inf, terms

    with pytest.raises(InputError, match=r"finite.*step 0.*lower learning_rate"):
        train(make_model(), draw, infinite, validation_batches(), schedule(), torch.Generator())


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    save_tensors(path, {"a": torch.ones(3)})
    before = path.read_bytes()

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"room.*No space left"):
        save_tensors(path, {"a": torch.zeros(3)})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_files_do_not_know_their_name(tmp_path):
    content = {"a": torch.arange(5), "b": {"c": [1.5, "text"]}}
    save_tensors(tmp_path / "first.pt", content)
    save_tensors(tmp_path / "folder" / "second.pt", content)
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "folder" / "second.pt").read_bytes()


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt.*existing weights"):
        load_tensors(tmp_path / "none.pt", "weights", ())


# workers, and the generator of each step


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_no_number(workers):
    model, history, generator = run()
    other, other_history, other_generator = run(plan=schedule(workers=workers))
    assert same(weights_of(model), weights_of(other))
    assert other_history == history
    assert torch.equal(generator.get_state(), other_generator.get_state())


def test_interrupted_training_with_workers_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "train.ckpt"

    def pulled_plug(step, source):
        if step == 23:
            raise KeyboardInterrupt
        return draw(step, source)

    with pytest.raises(KeyboardInterrupt):
        run(path, draw=pulled_plug, plan=schedule(workers=2))
    resumed, resumed_history, _ = run(path, plan=schedule(workers=3), seed=12345)
    model, history, _ = run()
    assert same(weights_of(model), weights_of(resumed))
    assert resumed_history == history


def test_a_step_s_batch_does_not_depend_on_the_steps_before(tmp_path):
    """Each step has a generator of its own: drawing more at one step leaves the next ones alone."""
    seen = {}

    def watching(greedy):
        def drawn(step, source):
            if greedy:
                torch.randn(1000 * (step + 1), generator=source)
            else:
                seen[step] = torch.randn(3, generator=torch.Generator().manual_seed(source.initial_seed()))
            return draw(step, source)

        return drawn

    run(draw=watching(greedy=False))
    first = dict(seen)
    run(draw=watching(greedy=True))
    run(draw=watching(greedy=False))
    assert all(torch.equal(first[step], seen[step]) for step in first)
    assert len({tuple(values.tolist()) for values in first.values()}) == 40  # no two steps draw the same
    run(draw=watching(greedy=False), seed=8)
    assert not any(torch.equal(first[step], seen[step]) for step in first)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_batches_come_in_order_and_none_twice(workers):
    lock, drawn = threading.Lock(), []

    def slow_first(step):
        time.sleep(0.02 if step % 4 == 0 else 0)
        with lock:
            drawn.append(step)
        return step

    assert list(drawn_ahead(slow_first, range(3, 20), workers)) == list(range(3, 20))
    assert sorted(drawn) == list(range(3, 20))


def test_workers_stay_a_bounded_way_ahead():
    drawn = []

    def note(step):
        drawn.append(step)
        return step

    batches = drawn_ahead(note, range(100), 2)
    assert next(batches) == 0
    time.sleep(0.1)
    assert len(drawn) <= 2 * 2 + 1
    batches.close()
    time.sleep(0.05)
    assert len(drawn) <= 2 * 2 + 1  # closed early: what waited was called off


def test_an_error_in_a_worker_reaches_the_training():
    def broken(step, source):
        if step == 7:
            raise InputError("a batch needs particles; there are none; draw some")
        return draw(step, source)

    with pytest.raises(InputError, match="a batch needs particles"):
        run(draw=broken, plan=schedule(workers=2))


# the section of the configuration


class Section(TrainingConfig):
    """A study's own: defaults where there are none, and what its network needs."""

    batch: Batch = Field(4, description="points per step")
    steps: Steps = 40
    validate_every: ValidateEvery = 5
    width: int = Field(3, description="columns")


def test_the_schedule_is_the_section_s():
    found = Schedule.of(Section(patience=7, workers=2))
    assert found == Schedule(40, 1e-3, 1e-4, 1.0, validate_every=5, patience=7, workers=2, replay=False)


@pytest.mark.parametrize(
    "values", [{"batch": 0}, {"steps": 0}, {"validate_every": 0}, {"patience": 0}, {"workers": -1}, {"threads": 0}]
)
def test_a_default_of_a_study_s_own_keeps_the_limits(values):
    with pytest.raises(ValidationError, match="greater than or equal to"):
        Section(**values)


def test_a_default_of_a_study_s_own_keeps_the_description_unless_it_says_another():
    words = {name: field.description for name, field in Section.model_fields.items()}
    assert (words["batch"], words["steps"]) == ("points per step", "optimiser steps")
