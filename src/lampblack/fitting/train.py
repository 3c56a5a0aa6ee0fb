"""The training of the networks within a fit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lampblack.data.kind import Encoder, Samples
from lampblack.fitting.collapse import CollapseWatch
from lampblack.fitting.seeds import Seeds
from lampblack.model.blocks import Blocks
from lampblack.model.parameters import Parameters, given
from lampblack.model.recipe import AnyRecipe
from lampblack.training.batches import Samples as Batches
from lampblack.training.batches import SeenSamples, StreamedSamples, TensorSamples
from lampblack.training.callbacks import Callback, ProgressBar
from lampblack.training.loop import Loop
from lampblack.training.ranks import Ranks
from lampblack.training.schedule import Budget
from lampblack.training.single_process import Runner
from lampblack.training.threads import threads_for_step

CHECKPOINT = 3  # the layout of the optimiser's state, and of the facts of a fingerprint
MOST_WATCHED = 1024  # samples, and
MOST_WATCHED_VALUES = 1 << 22  # their values together
MOST_SEEN = 1 << 31  # bytes of what a frozen network gives that are kept, not computed again
MOST_KNOWN_VALUES = 1 << 28  # values of known anomalies that train, 1 GiB
OF_NO_MATTER = ("verbose", "false_alarm_rate", "networks", "types", "device")  # to a checkpoint


@dataclass(frozen=True)
class Training:
    """All that the training of some networks takes, before the first step.

    watch: looks at the networks after each epoch. known: known anomalies, encoded. encode: for
    callbacks, samples as `fit` takes them to what the networks take.
    """

    detector: str
    recipe: AnyRecipe
    parameters: Parameters
    blocks: Blocks
    data: Batches
    validation: Batches
    known: Tensor | None
    watch: CollapseWatch
    encode: Callable[[object], Tensor]

    def run(
        self,
        runner: Runner,
        seeds: Seeds,
        checkpoint_dir: str | Path | None,
        callbacks: Sequence[Callback],
    ) -> Loop:
        """Train; the networks are changed in place, and ready to score afterwards."""
        parameters, networks = self.parameters, self.blocks.networks
        if parameters.verbose:
            callbacks = [ProgressBar(self.detector), *callbacks]
        for callback in callbacks:
            callback.on_networks(networks, self.encode)
        ranks = Ranks.of(runner)
        fingerprint = ""
        if checkpoint_dir is not None or ranks.size > 1:
            fingerprint = self._fingerprint(ranks.size)
        step = self.recipe.step(parameters, runner, networks, self.known, seeds.step)
        budget = self._budget()
        with (
            threads_for_step(self._operations(budget) / ranks.size),
            ranks.generators(seeds.batches, networks_draw=parameters.networks is not None) as (
                generator,
                noise,
            ),
        ):
            loop = Loop(
                step,
                self.data,
                budget,
                generator=generator,
                validation=self.validation if parameters.early_stopping else None,
                watch=self.watch,
                callbacks=callbacks,
                checkpoint_dir=None if checkpoint_dir is None else Path(checkpoint_dir),
                fingerprint=fingerprint,
                validation_block=4 * self.blocks.size,
                ranks=ranks,
                noise=noise,
            )
            loop.run()
        networks.eval()
        loop.step.finish()
        networks.requires_grad_(False)
        return loop

    def _budget(self) -> Budget:
        parameters = self.parameters
        return Budget(
            steps=given(parameters.max_steps),
            batch_size=given(parameters.batch_size),
            learning_rate=given(parameters.learning_rate),
            schedule=parameters.schedule,
            patience=parameters.patience if parameters.early_stopping else None,
        )

    def _operations(self, budget: Budget) -> float:
        """About the floating-point operations of a step."""
        if len(self.blocks.encoder.shape) > 1:
            return math.inf  # a convolution uses each weight many times: worth every thread
        weights = sum(weight.numel() for weight in self.blocks.networks.parameters())
        return 6.0 * weights * min(len(self.data), budget.batch_size)

    def _fingerprint(self, processes: int) -> str:
        """What a checkpoint must agree with: data, first weights, parameters, versions, threads."""
        read = [self.data, self.validation]
        if self.known is not None:
            read.append(TensorSamples(self.known))
        facts = {
            **self.parameters.as_dict(),
            **dict.fromkeys(OF_NO_MATTER),
            "detector": self.detector,
            "architecture": repr(self.blocks.networks),
            "kind_of_device": self.data.device.type,
            "versions": [version("lampblack"), torch.__version__, CHECKPOINT],
            "threads": torch.get_num_threads(),
            "processes": processes,
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
        for samples in read:
            digest.update(samples.digest().encode())
        for tensor in self.blocks.networks.state_dict().values():
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def batches_of(samples: Samples, encoder: Encoder, device: torch.device) -> Batches:
    """Samples as the loop takes them: held on the device, or read from files as it goes."""
    reader = samples.reader(encoder)
    if reader is not None:
        return StreamedSamples(reader, encoder.tensor, device)
    values = torch.from_numpy(encoder.values(samples)).to(device)
    seen = 4 * len(samples) * math.prod(encoder.shape)
    if encoder.frozen is None or seen > MOST_SEEN:
        return TensorSamples(values, encoder.tensor)
    return SeenSamples(values, encoder.tensor)


def some_encoded(blocks: Blocks, samples: Samples, values: int) -> Tensor:
    """The first samples, as many as hold so many values together, encoded on the device."""
    fitting = max(2, values // math.prod(blocks.encoder.shape))
    few = samples.take(np.arange(min(len(samples), fitting)))
    return blocks.all_encoded(few, MOST_WATCHED)
