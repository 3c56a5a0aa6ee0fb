"""A model to its folder and back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from lampblack.calibration import Calibration
from lampblack.data.kind import Encoder
from lampblack.data.kinds import kind_named
from lampblack.exceptions import InvalidInput, ModelFileError, is_lack_of_memory
from lampblack.model.device import resolve_device
from lampblack.model.methods import RECIPES
from lampblack.model.model import Facts, Model, with_shortfall
from lampblack.model.parameters import OwnNetworks, Parameters, filled_in
from lampblack.model.recipe import AnyRecipe
from lampblack.networks import AutoencoderPair
from lampblack.persistence import former
from lampblack.persistence.card import model_card
from lampblack.persistence.config import CalibrationFacts, ModelConfig, first_fault
from lampblack.persistence.parts import ENCODER, ModelParts
from lampblack.persistence.portable import is_portable
from lampblack.scores import Score

NETWORKS, SCORE, ENCODER_NETWORK = "networks.", "score.", "encoder."


def to_parts(model: Model) -> ModelParts:
    """Take a model apart."""
    resolved = model.parameters.as_dict()
    given = {**resolved, **dict.fromkeys(model.filled_in)}
    own_networks = given.pop("networks") is not None
    calibration = model.calibration
    config = ModelConfig(
        detector=model.detector,
        parameters={name: _plain(value) for name, value in given.items()},
        filled_in={name: _plain(resolved[name]) for name in model.filled_in},
        own_networks=own_networks,
        kind=model.schema.kind,
        data=model.schema.model_dump(mode="json"),
        calibration=CalibrationFacts.model_validate(calibration, from_attributes=True),
        **vars(model.facts),
    )
    weights = {
        prefix + name: value
        for prefix, module in _modules(model.networks, model.score, model.encoder)
        for name, value in module.state_dict().items()
    }
    return ModelParts(
        config=config,
        weights=weights,
        encoder=dict(model.encoder.state()),
        calibration_scores=torch.from_numpy(calibration.scores.copy()),
        card=model_card(config),
    )


def save_model(model: Model, path: str | Path) -> None:
    """Write the model as a folder without pickles, which `load_model` reads."""
    to_parts(model).write(Path(path))


def load_model(
    path: str | Path, *, networks: OwnNetworks | None = None, device: str = "auto"
) -> Model:
    """A model from its folder; nothing of the folder's is run as code.

    networks: the (encoder, decoder) that it was fitted with, where they were the user's own; their
    weights come from the folder. device: where to put it. Raises ModelFileError, naming the file,
    where one is missing, changed, newer or unknown, and where they contradict each other.
    """
    folder = Path(path)
    if is_portable(folder):
        raise ModelFileError(
            f"{folder} is a portable model, which scores and does nothing else; give the model "
            "folder, or in Python load it with lampblack.load_portable"
        )
    parts = ModelParts.read(folder)
    config = parts.config
    if config.detector not in RECIPES:
        raise ModelFileError(
            f"{folder / 'config.json'} is of an unknown detector {config.detector!r}; "
            f"this version knows {', '.join(sorted(RECIPES))}"
        )
    _refuse_own_networks(config, folder, networks)
    where = resolve_device(device)
    with _fitting_together(config, folder):
        model = from_parts(RECIPES[config.detector], parts, networks)
    for _, module in _modules(model.networks, model.score, model.encoder):
        module.to(where)
    return model


def from_parts(recipe: AnyRecipe, parts: ModelParts, networks: OwnNetworks | None = None) -> Model:
    """Put a model together, on the CPU. Raises where the parts are not of one model.

    One blank sample is scored, where the networks are not the user's own: what cannot be is refused
    here. Its score may be anything.
    """
    config = parts.config
    kind = kind_named(config.kind)
    schema = config.schema_of_data()
    encoder = kind.encoder_from_state(schema, parts.encoder)
    parameters = _parameters(recipe, config, networks)
    if not config.own_networks:
        _check_sizes(recipe, parameters, encoder, parts)
    pair, score = build(recipe, parameters, encoder, seed=0)
    _load_weights(_modules(pair, score, encoder), parts)
    calibration = Calibration.restored(
        parts.calibration_scores.double().numpy(), **config.calibration.model_dump()
    )
    model = Model(
        detector=config.detector,
        parameters=parameters,
        filled_in=tuple(config.filled_in),
        schema=schema,
        encoder=encoder,
        networks=pair.eval().requires_grad_(False),
        score=score.eval(),
        calibration=calibration,
        facts=Facts(
            notes=with_shortfall(list(config.notes), calibration),
            **config.model_dump(include=Facts.__dataclass_fields__.keys() - {"notes"}),
        ),
    )
    if not config.own_networks:
        model.blocks.scored_outside(kind.blank(schema), score)
    return model


def build(
    recipe: AnyRecipe, parameters: Parameters, encoder: Encoder, seed: int
) -> tuple[AutoencoderPair, Score]:
    """The networks before training, and the score before it has learned anything."""
    generator = torch.Generator().manual_seed(seed)
    varying = torch.from_numpy(encoder.varying)
    if not varying.any():
        varying = torch.ones_like(varying)
    networks = recipe.networks(parameters, encoder, varying, generator)
    score = recipe.score(parameters)
    score.prepare(encoder, networks)
    return networks, score


def _parameters(recipe: AnyRecipe, config: ModelConfig, networks: OwnNetworks | None) -> Parameters:
    """The parameters, after checking that they are the recipe's and can be used."""
    given = {**config.parameters, "networks": networks}
    if differing := recipe.parameters.__dataclass_fields__.keys() ^ given.keys():
        raise ValueError(
            f"{config.detector} does not take, or lacks, {', '.join(sorted(differing))}"
        )
    for name in ("hidden", "missing", "not_missing"):
        if isinstance(given[name], list):
            given[name] = tuple(given[name])
    asked: Parameters = recipe.parameters(**given)
    asked.check(config.detector)
    expected = filled_in(asked, config.kind)
    if config.filled_in.keys() != expected.keys():
        raise ValueError(f"filled_in must hold {sorted(expected)}")
    resolved: Parameters = asked.replaced(**config.filled_in)
    resolved.check(config.detector)
    return resolved


def _modules(
    networks: AutoencoderPair, score: Score, encoder: Encoder
) -> list[tuple[str, torch.nn.Module]]:
    """The modules of a model, with what their weights' names begin with."""
    modules = [(NETWORKS, networks), (SCORE, score)]
    return modules if encoder.frozen is None else [*modules, (ENCODER_NETWORK, encoder.frozen)]


def _check_sizes(
    recipe: AnyRecipe, parameters: Parameters, encoder: Encoder, parts: ModelParts
) -> None:
    """Raise ValueError where the weights are fewer than the parameters ask for.

    Nothing is allocated: a few bytes that name large networks take no memory.
    """
    with torch.device("meta"):
        pair, score = build(recipe, parameters, encoder, seed=0)
    needed = {
        prefix + name: value
        for prefix, module in ((NETWORKS, pair), (SCORE, score))
        for name, value in module.state_dict().items()
    }
    weights = _named_as_today(parts, needed)
    for name, value in needed.items():
        found = weights[name].numel() if name in weights else 0
        if found < value.numel():
            raise ValueError(
                f"{name} has {found} values, and the parameters ask for {value.numel()}"
            )


def _named_as_today(parts: ModelParts, wanted: Iterable[str]) -> dict[str, torch.Tensor]:
    """The weights by today's names; wanted: those that the model has."""
    is_former = parts.config.format == former.FORMAT
    return former.renamed(parts.weights, wanted) if is_former else parts.weights


def _load_weights(modules: list[tuple[str, torch.nn.Module]], parts: ModelParts) -> None:
    """Put the weights where they belong, each and every one of them."""
    wanted = [prefix + name for prefix, module in modules for name in module.state_dict()]
    weights = _named_as_today(parts, wanted)
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise ValueError("the weights are not all finite")
    for prefix, module in modules:
        own = {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}
        module.load_state_dict(own)
    parts_weights = weights.get(SCORE + "weights")
    if parts_weights is not None and (parts_weights < 0).any():
        raise ValueError("the weights of the score's parts are not all positive")
    strange = [n for n in weights if not n.startswith(tuple(prefix for prefix, _ in modules))]
    if strange:
        raise ValueError(f"the weights hold {strange[0]}, which is of no part of a model")


def _refuse_own_networks(config: ModelConfig, path: Path, networks: OwnNetworks | None) -> None:
    """Raise where a model of its user's own networks is loaded without them, or the reverse."""
    if config.own_networks and networks is None:
        raise ModelFileError(
            f"{path} was fitted with networks of its user's own, which a folder does not hold; "
            "pass the same modules: load(path, networks=(encoder, decoder))"
        )
    if networks is not None and not config.own_networks:
        raise InvalidInput(f"{path} holds its networks; load it without networks=")


@contextmanager
def _fitting_together(config: ModelConfig, path: Path) -> Iterator[None]:
    """Raise ModelFileError for whatever parts of another model make raise.

    A machine that has too little memory, or lacks a library, says so itself.
    """
    try:
        yield
    except ImportError:
        raise
    except ValidationError as error:  # the configuration was validated where it was read
        place = path / ENCODER
        raise ModelFileError(f"{place} does not hold an encoder: {first_fault(error)}") from None
    except Exception as error:
        if is_lack_of_memory(error):
            raise
        raise ModelFileError(f"{path}: {_why_unfit(config, error)}") from None


def _why_unfit(config: ModelConfig, error: Exception) -> str:
    """Why the parts make no model: another lampblack has others, and so has a user's network."""
    reason = " ".join(str(error).split())[:300]
    written, here = config.versions.get("lampblack", "unknown"), version("lampblack")
    if config.own_networks:
        likely = "pass the networks= that it was fitted with"
    elif written != here:
        likely = f"it was written by lampblack {written}, and this is {here}: fit again"
    else:
        likely = f"it was changed, or written by another state of lampblack {here}: fit again"
    return f"its parts do not fit together; {likely} ({reason})"


def _plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict) or hasattr(value, "keys"):
        return dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else copy.copy(value)
