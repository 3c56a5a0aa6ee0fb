"""A fitted detector to a model folder and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lampblack.calibration import Calibration
from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.schema import ImageSchema
from lampblack.data.samples import blank
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import Schema
from lampblack.exceptions import InvalidInput, ModelFileError, is_lack_of_memory
from lampblack.model.blocks import scored_alone
from lampblack.model.device import resolve_device
from lampblack.model.recipe import METHODS, Networks, check_names, initial_networks
from lampblack.model.scoring import ScoringMixin
from lampblack.persistence.card import model_card
from lampblack.persistence.config import CalibrationFacts, ModelConfig
from lampblack.persistence.parts import ModelParts
from lampblack.persistence.portable import is_portable

if TYPE_CHECKING:
    from lampblack.detectors.base import ReconstructionDetector


def to_parts(detector: ReconstructionDetector) -> ModelParts:
    """Take a fitted detector apart."""
    filled_in = detector.filled_in_
    parameters = {**detector.parameters_, **dict.fromkeys(filled_in)}
    own_networks = parameters.pop("networks") is not None
    if parameters["types"] is not None:
        parameters["types"] = dict(parameters["types"])
    calibration, encoder = detector.calibration_, detector.encoder_
    config = ModelConfig(
        detector=type(detector).__name__,
        parameters={name: _plain(value) for name, value in parameters.items()},
        filled_in={name: _plain(value) for name, value in filled_in.items()},
        own_networks=own_networks,
        table=detector.schema_ if isinstance(detector.schema_, Schema) else None,
        images=detector.schema_ if isinstance(detector.schema_, ImageSchema) else None,
        rows=detector.rows_,
        calibration=CalibrationFacts(
            origin=calibration.origin,
            requested=calibration.requested,
            promised=calibration.promised,
            threshold=calibration.threshold,
        ),
        reading=detector.reading_,
        history=detector.history_,
        notes=detector.notes_,
        versions=detector.versions_,
        threads=detector.threads_,
    )
    return ModelParts(
        config=config,
        weights=dict(detector.networks_.state_dict()),
        encoder=encoder.state() if isinstance(encoder, TableEncoder) else None,
        calibration_scores=torch.from_numpy(calibration.scores.copy()),
        card=model_card(config),
    )


def from_parts(
    cls: type[ReconstructionDetector],
    parts: ModelParts,
    path: Path,
    *,
    networks: Networks | None,
    device: str,
) -> ReconstructionDetector:
    """Put a detector together from its parts, checking that they fit one another."""
    config = parts.config
    refuse_own_networks(config, path, networks)
    where = resolve_device(device)
    with fitting_together(config, path):
        parameters = {**config.parameters, "networks": networks}
        check_names(config.detector, parameters)
        parameters["hidden"] = tuple(parameters["hidden"])
        detector = cls(**parameters)
        detector._check_parameters()
        detector.filled_in_ = _filled_in(detector, config)
        detector.parameters_ = {**detector.get_params(deep=False), **detector.filled_in_}
        take_parts(detector, parts)
    detector.networks_.to(where)
    return detector


def read_parts(folder: Path) -> ModelParts:
    """The parts of a model folder, of a detector that is known here. Raises ModelFileError."""
    if is_portable(folder):
        raise ModelFileError(
            f"{folder} is a portable model, which scores and does nothing else; give the model "
            "folder, or in Python load it with lampblack.load_portable"
        )
    parts = ModelParts.read(folder)
    if parts.config.detector not in METHODS:
        raise ModelFileError(
            f"{folder / 'config.json'} is of an unknown detector {parts.config.detector!r}; "
            f"this version knows {', '.join(sorted(METHODS))}"
        )
    return parts


def refuse_own_networks(config: ModelConfig, path: Path, networks: Networks | None) -> None:
    """Raise where a model of its user's own networks is loaded without them, or the reverse."""
    if config.own_networks and networks is None:
        raise ModelFileError(
            f"{path} was fitted with networks of its user's own, which a folder does not hold; "
            "pass the same modules: load(path, networks=(encoder, decoder))"
        )
    if networks is not None and not config.own_networks:
        raise InvalidInput(f"{path} holds its networks; load it without networks=")


@contextmanager
def fitting_together(config: ModelConfig, path: Path) -> Iterator[None]:
    """Raise ModelFileError for whatever parts of another model make raise.

    A machine that has too little memory, or lacks a library, says so itself.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        if is_lack_of_memory(error):
            raise
        raise ModelFileError(f"{path}: {_why_unfit(config, error)}") from None


def take_parts(model: ScoringMixin, parts: ModelParts) -> None:
    """Give a model, which has its `parameters_`, all else that its parts hold, on the CPU.

    One blank sample is scored, where the networks are not the user's own: what cannot be is refused
    here. Its score may be anything.
    """
    config = parts.config
    _set_data(model, parts)
    pair = initial_networks(model._method, model.parameters_, model.encoder_, seed=0)
    pair.load_state_dict(parts.weights)
    if not all(weight.isfinite().all() for weight in parts.weights.values()):
        raise ValueError("the weights are not all finite")
    calibration = _calibration(parts)
    model.networks_ = pair.eval().requires_grad_(False)
    model.history_, model.notes_ = list(config.history), list(config.notes)
    model._set_calibration(calibration)
    model.rows_, model.versions_ = dict(config.rows), dict(config.versions)
    model.threads_, model.reading_ = config.threads, dict(config.reading)
    if not config.own_networks:
        (sample,) = blank(model.schema_).chunks(1)
        scored_alone(model.networks_, model.encoder_, sample, model._build_score())


def _why_unfit(config: ModelConfig, error: Exception) -> str:
    """Why the parts make no detector: another lampblack has others, and so has a user's network."""
    reason = " ".join(str(error).split())[:300]
    written, here = config.versions.get("lampblack", "unknown"), version("lampblack")
    if config.own_networks:
        likely = "pass the networks= that it was fitted with"
    elif written != here:
        likely = f"it was written by lampblack {written}, and this is {here}: fit again"
    else:
        likely = f"it was changed, or written by another state of lampblack {here}: fit again"
    return f"its parts do not fit together; {likely} ({reason})"


def _filled_in(detector: ReconstructionDetector, config: ModelConfig) -> dict[str, Any]:
    """The defaults that were filled in, after checking that they are such and can be used."""
    defaults = detector.DEFAULTS["images" if config.images is not None else "table"]
    given = detector.get_params(deep=False)
    expected = {name for name in defaults if given[name] is None}
    if set(config.filled_in) != expected:
        raise ValueError(f"filled_in must hold {sorted(expected)}")
    detector._check_each({**given, **config.filled_in})
    return dict(config.filled_in)


def _set_data(model: ScoringMixin, parts: ModelParts) -> None:
    """Schema and encoder, of a table or of images."""
    if parts.config.images is not None:
        model.schema_ = parts.config.images
        model.encoder_ = ImageEncoder(model.schema_)
        model.n_features_in_ = int(np.prod(model.schema_.shape))
        return
    table = parts.config.table
    assert table is not None
    assert parts.encoder is not None
    model.schema_ = table
    model.encoder_ = TableEncoder.from_state(table, parts.encoder)
    model.n_features_in_ = len(table.columns)
    if table.named:
        model.feature_names_in_ = np.array(table.names, dtype=object)


def _calibration(parts: ModelParts) -> Calibration:
    """The calibration, after checking that its scores are such and hold its threshold."""
    facts = parts.config.calibration
    scores = np.asarray(parts.calibration_scores.double().numpy())
    ordered = scores.ndim == 1 and np.isfinite(scores).all() and (np.diff(scores) >= 0).all()
    if not ordered or facts.threshold not in scores:
        raise ValueError("the calibration scores are not ascending or lack the threshold")
    return Calibration(scores, facts.origin, facts.requested, facts.promised, facts.threshold)


def _plain(value: Any) -> Any:
    """A parameter as JSON has it."""
    if isinstance(value, np.generic):
        return value.item()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else copy.copy(value)
