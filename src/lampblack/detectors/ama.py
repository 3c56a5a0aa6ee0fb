"""AMA: a critic of mirrored pairs, and scores by what it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, final

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from lampblack.choices import ScoreName
from lampblack.data.images.learning import ImageSize
from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.scaling import Scaling
from lampblack.detectors.base import Precision, ReconstructionDetector
from lampblack.exceptions import InvalidInput
from lampblack.losses import AdversarialLoss, Amplification, ReconstructionErrorName
from lampblack.model.recipe import Networks
from lampblack.networks import AdversarialPair, AutoencoderPair, NetworkName
from lampblack.scores import Density
from lampblack.training.adversarial import AdversarialSettings, AdversarialStep, Atypical
from lampblack.training.schedule import Schedule
from lampblack.training.steps import TrainingStep

if TYPE_CHECKING:
    from lampblack.training.alone import Runner


@final
class AMADetector(ReconstructionDetector):
    """Train an autoencoder against a critic of pairs, and score by what the critic sees.

    The critic D sees (x, x) as real and (x, x̂) as fake; the autoencoder tries to make the second
    look like the first. Codes of normal samples are mixed three at a time (simplex interpolation),
    and decoded codes moved to or from the origin stand in for anomalies (atypical selection).
    Equations and where we deviate: docs/methods/ama.md.

    Beside those of `ReconstructionDetector`:

    Parameters
    ----------
    score_by : {"critic", "typicality", "mahalanobis", "joint", "reconstruction"} or None
        "critic": ‖f(x, x) − f(x, x̂)‖₁, f the critic's last features. "typicality": how unusual that
        distance is, on either side. "mahalanobis" (this project's): how unusual the differences of
        all features are together. "joint" (likewise): how unusual reconstruction error, norm of the
        code and critic's distance are together, on either side. "reconstruction": the plain error,
        and the weighted norm of the code. All but the last hold `validation_fraction` of the rows
        out from training, to learn what is usual.
    density : {"gaussian", "kernel"}
        Of "typicality": a normal density, or a kernel estimate for skewed distances.
    adversarial_weight, reconstruction_weight : float ≥ 0
        Weights in the autoencoder's loss of −D(x, x̂), and of what the other detectors minimise,
        error + latent_weight · ‖z‖₂ (where it is 0, the latent term stays by itself). With
        adversarial_weight = 0 no critic is trained, and training is that of the other detectors, to
        the bit. The authors have no reconstruction term.
    critic_loss : {"wasserstein", "hinge"}
    mirror : bool
        False: the critic sees x̂ alone, as in an ordinary adversarial autoencoder.
    critic_steps : int
        Updates of the critic for each of the autoencoder, on the same batch.
    critic_features : int or None
        Width of f; network="ama-cifar10" brings its own critic, of 128.
    gradient_penalty, spectral_norm
        Weight of (‖∇D‖₂ − 1)², and whether the critic's layers are divided by their largest
        singular value. 0 and False are off.
    simplex_weight : float
        Weight of the adversarial loss of mixtures; 0 is off.
    atypical : {"inward", "outward"} or None
        Which way codes are moved to make synthetic anomalies; None is off.
    atypical_warm_up : float in [0, 1]
        Share of `max_steps` before the first of them.
    anomaly_share, anomaly_weight : float
        Share of a batch that synthetic anomalies, and again known ones, take; and λ, the weight of
        an anomaly beside a normal sample.
    supervision : {"labels"} or None
        "labels": `fit` is given y, +1 for normal samples and −1 for known anomalies. These train
        critic and autoencoder; they calibrate nothing and scale no column. None: y is ignored.

    References
    ----------
    arXiv 2003.10713 (UAI 2021).

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import AMADetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = AMADetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "table": {
            **ReconstructionDetector.DEFAULTS["table"],
            "latent_weight": 0.0,
            "score_by": "reconstruction",
            "reconstruction_weight": 100.0,
            "critic_features": 64,
        },
        "images": {
            **ReconstructionDetector.DEFAULTS["images"],
            "latent_weight": 0.0,
            "score_by": "joint",
            "reconstruction_weight": 10.0,
            "critic_features": 128,
        },
    }

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ReconstructionDetector._parameter_constraints,
        "score_by": [
            StrOptions({"critic", "typicality", "mahalanobis", "joint", "reconstruction"}),
            None,
        ],
        "density": [StrOptions({"gaussian", "kernel"})],
        "adversarial_weight": [Interval(Real, 0, None, closed="left")],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left"), None],
        "critic_loss": [StrOptions({"wasserstein", "hinge"})],
        "mirror": ["boolean"],
        "critic_steps": [Interval(Integral, 1, None, closed="left")],
        "critic_features": [Interval(Integral, 1, None, closed="left"), None],
        "gradient_penalty": [Interval(Real, 0, None, closed="left")],
        "spectral_norm": ["boolean"],
        "simplex_weight": [Interval(Real, 0, None, closed="left")],
        "atypical": [StrOptions({"inward", "outward"}), None],
        "atypical_warm_up": [Interval(Real, 0, 1, closed="both")],
        "anomaly_share": [Interval(Real, 0, 0.5, closed="neither")],
        "anomaly_weight": [Interval(Real, 0, None, closed="neither")],
        "supervision": [StrOptions({"labels"}), None],
    }

    def __init__(
        self,
        *,
        score_by: ScoreName | None = None,
        density: Density = "gaussian",
        adversarial_weight: float = 1.0,
        reconstruction_weight: float | None = None,
        critic_loss: AdversarialLoss = "wasserstein",
        mirror: bool = True,
        critic_steps: int = 1,
        critic_features: int | None = None,
        gradient_penalty: float = 10.0,
        spectral_norm: bool = False,
        simplex_weight: float = 0.2,
        atypical: Atypical | None = "inward",
        atypical_warm_up: float = 0.1,
        anomaly_share: float = 0.1,
        anomaly_weight: float = 5.0,
        supervision: Literal["labels"] | None = None,
        reconstruction_error: ReconstructionErrorName = "l2",
        amplification: Amplification | None = None,
        latent_weight: float | None = None,
        hidden: Sequence[int] = (256, 128),
        network: NetworkName = "auto",
        width: int | None = None,
        depth: int | None = None,
        image_size: ImageSize = None,
        latent_dim: int | None = None,
        networks: Networks | None = None,
        scaling: Scaling | Literal["auto"] = "auto",
        types: Mapping[str, ColumnKind] | None = None,
        batch_size: int | None = None,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        schedule: Schedule = "one_cycle",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        false_alarm_rate: float = 0.01,
        contamination: float | None = None,
        device: str = "auto",
        precision: Precision = "32-true",
        random_state: int | None = 0,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            reconstruction_error=reconstruction_error,
            amplification=amplification,
            latent_weight=latent_weight,
            hidden=hidden,
            network=network,
            width=width,
            depth=depth,
            image_size=image_size,
            latent_dim=latent_dim,
            networks=networks,
            scaling=scaling,
            types=types,
            batch_size=batch_size,
            max_steps=max_steps,
            learning_rate=learning_rate,
            schedule=schedule,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            false_alarm_rate=false_alarm_rate,
            contamination=contamination,
            device=device,
            precision=precision,
            random_state=random_state,
            verbose=verbose,
        )
        self.score_by = score_by
        self.density = density
        self.adversarial_weight = adversarial_weight
        self.reconstruction_weight = reconstruction_weight
        self.critic_loss = critic_loss
        self.mirror = mirror
        self.critic_steps = critic_steps
        self.critic_features = critic_features
        self.gradient_penalty = gradient_penalty
        self.spectral_norm = spectral_norm
        self.simplex_weight = simplex_weight
        self.atypical = atypical
        self.atypical_warm_up = atypical_warm_up
        self.anomaly_share = anomaly_share
        self.anomaly_weight = anomaly_weight
        self.supervision = supervision

    def _training_step(
        self, fabric: Runner, networks: AutoencoderPair, anomalies: Tensor | None, seed: int
    ) -> TrainingStep:
        fitted = self.parameters_
        if not fitted["adversarial_weight"]:
            return super()._training_step(fabric, networks, anomalies, seed)
        settings = AdversarialSettings(
            reconstruction_weight=fitted["reconstruction_weight"],
            adversarial_weight=fitted["adversarial_weight"],
            form=fitted["critic_loss"],
            critic_steps=fitted["critic_steps"],
            gradient_penalty=fitted["gradient_penalty"],
            spectral_norm=fitted["spectral_norm"],
            simplex_weight=fitted["simplex_weight"],
            atypical=fitted["atypical"],
            warm_up=round(fitted["atypical_warm_up"] * fitted["max_steps"]),
            anomaly_share=fitted["anomaly_share"],
            anomaly_weight=fitted["anomaly_weight"],
        )
        return AdversarialStep(
            fabric,
            cast(AdversarialPair, networks),
            self._build_objective(fabric),
            settings,
            learning_rate=fitted["learning_rate"],
            seed=seed,
            anomalies=anomalies,
        )

    def _known_anomalies(self, y: Any, n: int) -> npt.NDArray[np.bool_] | None:
        if self.supervision is None:
            return None
        labels = np.asarray(y)
        if y is None or labels.shape != (n,):
            given = "no y" if y is None else f"y of shape {labels.shape}"
            raise InvalidInput(f'supervision="labels" needs y of shape ({n},), and got {given}')
        known = labels == -1
        if not (known | (labels == 1)).all():
            raise InvalidInput("y must be +1 for normal samples and -1 for known anomalies")
        if self.parameters_["batch_size"] < 3:
            raise InvalidInput("labels need a batch_size of 3 at least, for a normal majority")
        if (~known).sum() < 2:
            raise InvalidInput("y must mark at least 2 samples as normal (+1)")
        return np.asarray(known)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.adversarial_weight == 0 and self.score_by in (
            "critic",
            "typicality",
            "mahalanobis",
        ):
            raise InvalidInput(
                f"score_by={self.score_by!r} needs a critic, and adversarial_weight=0 trains none; "
                'use score_by="reconstruction" or score_by="joint"'
            )
        if self.adversarial_weight == 0 and self.supervision is not None:
            raise InvalidInput(
                "labels train the critic, and adversarial_weight=0 trains none; give it a weight"
            )
        if self.reconstruction_weight == 0:
            if self.adversarial_weight == 0:
                raise InvalidInput(
                    "adversarial_weight and reconstruction_weight are both 0: nothing is trained"
                )
            if self.amplification is not None:
                raise InvalidInput(
                    "amplification acts on the reconstruction error, and reconstruction_weight "
                    "is 0; give it a weight"
                )
