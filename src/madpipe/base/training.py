"""One training loop: steps, validation, early stop, checkpoint and resume. It knows neither data nor loss."""

import hashlib
import io
import json
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from madpipe.base.errors import InputError
from madpipe.base.replay import Replayed
from madpipe.base.runtime import device, log, progress
from madpipe.base.store import whole_file
from madpipe.base.training_config import TrainingConfig

_STRIDE = 0x9E3779B97F4A7C15  # between the seeds of successive steps
Batch = TypeVar("Batch")
Loss = Callable[[nn.Module, Batch], tuple[Tensor, Mapping[str, Tensor]]]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int  # optimiser steps
    learning_rate: float  # AdamW's at the first step; falls to zero along a cosine
    weight_decay: float
    gradient_clip: float  # largest gradient norm
    validate_every: int  # steps between validations, each followed by a checkpoint
    patience: int  # validations without gain before the early stop
    workers: int = 0  # threads that draw batches ahead of the steps; 0: none, each step draws its own
    replay: bool = False  # record a step once and replay it, on a GPU; a batch is then a named tuple of tensors

    @classmethod
    def of(cls, config: TrainingConfig) -> "Schedule":
        """Take the loop's part of a training's configuration; ``replay`` is there where a study's network allows it."""
        return cls(**{one.name: getattr(config, one.name) for one in fields(cls) if hasattr(config, one.name)})


@dataclass
class History:
    """What happened in a training; plain numbers, so that it goes into JSON as it is."""

    step: list[int] = field(default_factory=list)
    training_loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)  # before clipping
    validation_step: list[int] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)  # of the training loss, per step
    validation_terms: dict[str, list[float]] = field(default_factory=dict)
    best_step: int = 0  # whose weights were kept
    stopped: str = ""  # "steps" or "no gain"

    def validation(self) -> dict[str, Any]:
        """Give how the validation went, which a network keeps of its training."""
        kept = ("validation_step", "validation_loss", "validation_terms", "best_step")
        return {name: getattr(self, name) for name in kept}

    def as_dict(self) -> dict[str, Any]:
        """Give plain lists and numbers."""
        return asdict(self)


def train(
    model: nn.Module,
    draw: Callable[[int, torch.Generator], Batch],
    loss: Loss[Batch],
    validation: Sequence[Batch],
    schedule: Schedule,
    generator: torch.Generator,
    *,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    label: str = "training",
) -> History:
    """Train a model and leave it with the weights of the least validation loss.

    Parameters
    ----------
    model:
        Altered in place.
    draw:
        Gives the batch of a step (counted from 0); all its randomness comes from the generator it is handed, which is
        the step's own: batches can be drawn in any order, several at once.
    loss:
        (model, batch) -> (value to minimise, its terms by name).
    validation:
        Batches whose mean loss decides which weights are kept.
    schedule:
        Steps, learning rate, clipping, early stop.
    generator:
        Its state is part of the checkpoint: a training that was killed goes on to the weights it would have had,
        to the bit, on the same machine with the same number of threads.
    checkpoint:
        Where to keep the state after each validation; resumed from when it exists.
    fingerprint:
        Names configuration, code and data. A checkpoint with another one is left aside, with a log line, and the
        training starts anew: it belongs to results that are being replaced.
    label:
        For the progress bar.

    Returns
    -------
    :
        Losses per step and per validation.

    Raises
    ------
    InputError
        The checkpoint is no checkpoint, or the gradient is not finite (learning rate too high).
    """
    run = _Run(model, schedule, generator, fingerprint)
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    steps = range(run.history_length(), schedule.steps)
    batches = drawn_ahead(lambda step: draw(step, run.generator_of(step)), steps, schedule.workers)
    for step, batch in zip(progress(steps, label), batches, strict=True):
        if run.history.stopped:
            break
        run.step(step, batch, loss)
        if (step + 1) % schedule.validate_every == 0 or step + 1 == schedule.steps:
            run.validate(step + 1, validation, loss)
            if checkpoint is not None:
                run.save(checkpoint)
    model.load_state_dict(run.best)
    return run.history


def name_of(config: TrainingConfig, generator: torch.Generator, code: str) -> str:
    """Name this very training: configuration, code, kind of device and the generator as it was handed over."""
    digest = hashlib.sha256(json.dumps([config.model_dump(mode="json"), code, device().type]).encode())
    digest.update(generator.get_state().numpy().tobytes())
    return digest.hexdigest()


def drawn_ahead(draw: Callable[[int], Batch], steps: range, workers: int) -> Iterator[Batch]:
    """Give the batch of each step in order, drawn by threads while the steps before it run."""
    if not workers:
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(workers, "batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(draw, step))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


class _Run:
    """All that a checkpoint holds."""

    def __init__(self, model: nn.Module, schedule: Schedule, generator: torch.Generator, fingerprint: str) -> None:
        self.model, self.schedule, self.generator, self.fingerprint = model, schedule, generator, fingerprint
        self.optimiser = torch.optim.AdamW(
            model.parameters(),
            lr=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            capturable=schedule.replay and _on_gpu(model),
        )
        self.rate = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, schedule.steps)
        self.history = History()
        self.best: dict[str, Tensor] = {}
        self.seed = int(torch.randint(1 << 62, (), generator=generator))
        self.recorded: Replayed | None = None
        self.rate_there: Tensor | None = None
        self.names: list[str] = []

    def generator_of(self, step: int) -> torch.Generator:
        """Make the generator of a step's batch."""
        return torch.Generator().manual_seed((self.seed + step * _STRIDE) % (1 << 63))

    def history_length(self) -> int:
        """Steps done."""
        return len(self.history.step)

    def step(self, step: int, batch: Batch, loss: Loss[Batch]) -> None:
        """One step of the optimiser."""
        self.model.train()
        value, terms, norm = self._replayed(batch, loss) if self.schedule.replay else self._stepped(batch, loss)
        if not bool(torch.isfinite(norm)):
            raise InputError(
                f"training needs a finite gradient; its norm is {float(norm)} at step {step} "
                f"(loss {float(value.detach()):.3g}); lower learning_rate from {self.schedule.learning_rate:g}"
            )
        history = self.history
        history.step.append(step + 1)
        history.learning_rate.append(float(self.rate.get_last_lr()[0]))
        history.training_loss.append(float(value.detach()))
        history.gradient_norm.append(float(norm))
        _append(history.terms, {name: term.detach() for name, term in terms.items()})
        if not self.schedule.replay:
            self.optimiser.step()
        self.rate.step()

    def _stepped(self, batch: Batch, loss: Loss[Batch]) -> tuple[Tensor, Mapping[str, Tensor], Tensor]:
        """Loss, its terms, and the gradient's norm before clipping; the gradients are there."""
        self.optimiser.zero_grad(set_to_none=True)
        value, terms = loss(self.model, batch)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        return value, terms, nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.gradient_clip)

    def _replayed(self, batch: Batch, loss: Loss[Batch]) -> tuple[Tensor, Mapping[str, Tensor], Tensor]:
        """A whole step, recorded at its first call on a GPU."""
        if self.recorded is None:
            self.recorded = self._recording(type(batch), loss)
        group = self.optimiser.param_groups[0]
        if self.rate_there is not None:
            self.rate_there.fill_(group["lr"])
        value, norm, *terms = self.recorded(*cast("tuple[Tensor, ...]", batch))
        return value, dict(zip(self.names, terms, strict=True)), norm

    def _recording(self, kind: Callable[..., Batch], loss: Loss[Batch]) -> Replayed:
        """Make the step as a function of a batch's tensors; its learning rate is a tensor on a GPU."""
        group = self.optimiser.param_groups[0]
        if _on_gpu(self.model):
            self.rate_there = torch.tensor(group["lr"], device=next(self.model.parameters()).device)

        def step(*tensors: Tensor) -> list[Tensor]:
            value, terms, norm = self._stepped(kind(*tensors), loss)
            self.names = list(terms)
            rate = group["lr"]
            group["lr"] = rate if self.rate_there is None else self.rate_there
            self.optimiser.step()
            group["lr"] = rate
            return [value.detach(), norm, *(term.detach() for term in terms.values())]

        def changed() -> list[Tensor]:
            states = (one for state in self.optimiser.state.values() for one in state.values())
            return [*self.model.parameters(), *self.model.buffers(), *states]

        return Replayed(step, changed)

    def validate(self, step: int, batches: Sequence[Batch], loss: Loss[Batch]) -> None:
        """Mean loss over the validation batches; keep the weights if it is the least so far, else count down."""
        self.model.eval()
        with torch.no_grad():
            results = [loss(self.model, batch) for batch in batches]
        history = self.history
        history.validation_step.append(step)
        history.validation_loss.append(_mean([value for value, _ in results]))
        names = results[0][1]
        _append(history.validation_terms, {name: _mean([terms[name] for _, terms in results]) for name in names})
        least = min(history.validation_loss)
        if not self.best or history.validation_loss[-1] == least:
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            history.best_step = step
        without_gain = sum(later > history.best_step for later in history.validation_step)
        if without_gain >= self.schedule.patience:
            history.stopped = "no gain"
        elif step >= self.schedule.steps:
            history.stopped = "steps"

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all."""
        save_tensors(
            path,
            {
                "fingerprint": self.fingerprint,
                "model": self.model.state_dict(),
                "best": self.best,
                "optimiser": self.optimiser.state_dict(),
                "rate": self.rate.state_dict(),
                "generator": self.generator.get_state(),
                "seed": self.seed,
                "history": self.history.as_dict(),
            },
        )

    def resume(self, path: Path) -> None:
        """Take everything back, if the checkpoint is of this very training."""
        state = load_tensors(
            path, "training checkpoint", ("fingerprint", "model", "optimiser", "generator", "seed", "history")
        )
        if state["fingerprint"] != self.fingerprint:
            log.info("%s is of another configuration or code; training starts anew and replaces it", path)
            return
        self.model.load_state_dict(state["model"])
        self.best = {name: state["best"][name].to(tensor.device) for name, tensor in self.model.state_dict().items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.rate.load_state_dict(state["rate"])
        self.generator.set_state(state["generator"])
        self.seed = state["seed"]
        self.history = History(**state["history"])
        log.info("training goes on from step %d in %s", self.history_length(), path)


def save_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values with torch.save, whole or not at all, the same bytes under any file name.

    Raises
    ------
    InputError
        The disk is full or the folder cannot be written.
    """
    buffer = io.BytesIO()  # torch.save writes the name of a file into it, but a buffer has none
    torch.save(dict(content), buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_tensors(path: Path, kind: str, required: Sequence[str]) -> dict[str, Any]:
    """Read what :func:`save_tensors` wrote: tensors and plain values only, no code is run.

    Raises
    ------
    InputError
        No such file, or not a file of this kind; it says so by name.
    """
    if not path.is_file():
        raise InputError(f"{path}: needs an existing {kind}; there is none; check the path")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: needs a complete {kind}; got: {reason}; delete it or give another") from error
    missing = [name for name in required if not isinstance(content, dict) or name not in content]
    if missing:
        raise InputError(
            f"{path}: a {kind} holds {', '.join(required)}; {', '.join(missing)} are missing; give another"
        )
    return content


def _on_gpu(model: nn.Module) -> bool:
    """Whether a model's weights are on a GPU."""
    return next(model.parameters()).device.type == "cuda"


def _append(columns: dict[str, list[float]], values: Mapping[str, Tensor | float]) -> None:
    """Put one value at the end of each column."""
    for name, value in values.items():
        columns.setdefault(name, []).append(float(value))


def _mean(values: Sequence[Tensor]) -> float:
    """Mean of scalars."""
    return float(torch.stack([value.detach() for value in values]).mean())
