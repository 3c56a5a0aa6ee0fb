"""When not to trust a model, in words, with the figure behind each."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.stats import beta

from lampblack.data.kind import Samples
from lampblack.diagnostics.chosen import (
    COMPARED_VALUES,
    checked,
    encoded,
    remembered_among,
    remembers,
    some,
)
from lampblack.diagnostics.codes import decoder_spectrum
from lampblack.diagnostics.rays import Extrapolation, along_rays
from lampblack.exceptions import InvalidInput
from lampblack.explanation import Values
from lampblack.fitting.collapse import CONSTANT, TOLD, chimeras_told, spread
from lampblack.fitting.notes import MOST_REPEATED
from lampblack.losses import latent_norm
from lampblack.model.model import DRIFT, MOVED, REPEATED, Model, as_model
from lampblack.number_text import number, percent

SURE = 0.95  # confidence of the bound on the realised rate
VARIES = 0.02  # (99th − 1st percentile) / median of scores, below which they barely vary
STRONGEST, FEWEST_STRONGEST, MOST_STRONGEST = 0.05, 10, 50  # share and numbers of samples blamed
ALONE = 0.8  # mean share of the score beyond which a column decides alone
STAYS = 0.95  # share of rays on which the score must stay above normal ones
MOST = 10_000  # samples scored for the checks
MOST_WATCHED = 1024

Figure = float | int | str | None
Verdict = tuple[bool | None, str, dict[str, Figure]]  # what a check says, but for its name


@dataclass(frozen=True)
class Check:
    """One reason not to trust a model, looked for.

    passed: False where it was found, None where it cannot be told. text: a sentence: where it was
    found, what follows from it, then the figure, then what to do; figures: all of them by name.
    """

    name: str
    passed: bool | None
    text: str
    figures: dict[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What the checks look at: a detector, and normal samples with their scores (n,)."""

    detector: Model
    samples: Samples
    scores: Values
    seed: int

    @property
    def what(self) -> str:
        """What the samples are: rows or images."""
        return self.detector.kind.noun


def checks(
    detector: Model, X: object, *, leave_out: Collection[str] = (), seed: int = 0
) -> list[Check]:
    """Look for reasons not to trust a detector, given normal samples X.

    X: as `anomaly_score` takes them, best ones that were not fitted; at most 10,000, drawn with
    the seed, are looked at. A failed check is a notice. leave_out: names of checks not to make.

    >>> import numpy as np
    >>> from lampblack import TollDetector
    >>> from lampblack.diagnostics import checks
    >>> normal = np.random.default_rng(0).normal(size=(900, 4))
    >>> detector = TollDetector(max_steps=100, hidden=(32,), random_state=0).fit(normal[:600])
    >>> [check.name for check in checks(detector, normal[600:]) if check.passed is False]
    []
    """
    given = looked_at(detector, X, seed)
    wanted = [name for name in CHECKS if name not in leave_out]
    return [Check(name, *CHECKS[name](given)) for name in wanted]


def looked_at(detector: Model, X: object, seed: int) -> Given:
    """The samples that the checks look at, scored."""
    model, samples = as_model(detector), checked(detector, X)
    samples = samples.take(some(len(samples), MOST, seed))
    return Given(model, samples, model.anomaly_score(samples), seed)


def enough_data(given: Given) -> Verdict:
    """Whether the calibration rows suffice for the promised rate."""
    calibration = given.detector.calibration
    if calibration.origin != "held-out":
        text = (
            f"no false-alarm rate is promised for new {given.what}: the model was fitted with "
            "contamination, which holds none out"
        )
        return (None, text, {})
    n = len(calibration.scores)
    allowed = max(0, math.floor(calibration.promised * (n + 1) + 1e-9) - 1)
    worst = float(beta.ppf(SURE, allowed + 1, n - allowed))
    figures: dict[str, Figure] = {
        "calibration": n,
        "train": given.detector.facts.rows.get("train"),
        "requested": calibration.requested,
        "promised": calibration.promised,
        "realised_below": worst,
    }
    if calibration.shortfall:
        text = (
            f"expect more false alarms than were asked for, {percent(calibration.promised)} of "
            f"normal {given.what} and not {percent(calibration.requested)}: {calibration.shortfall}"
        )
        return (False, text, figures)
    text = (
        f"{n:,} calibration {given.what} promise {percent(calibration.promised)} false alarms on "
        f"average; with these ones the rate is below {percent(worst)} with {percent(SURE, 0)} "
        "confidence"
    )
    return (True, text, figures)


def scores_vary(given: Given) -> Verdict:
    """Whether scores of normal samples differ from one another."""
    of = {"calibration": given.detector.calibration.scores, "given": given.scores}
    figures: dict[str, Figure] = {name: relative_spread(scores) for name, scores in of.items()}
    name, least = min(figures.items(), key=lambda pair: pair[1])  # type: ignore[arg-type,return-value]
    passed = float(least or 0.0) >= VARIES or len(of[name]) < 2
    fact = (
        f"the middle 98 % of those of the {name} {given.what} span "
        f"{percent(float(least or 0.0))} of their median"
    )
    if passed:
        return (True, f"scores vary: {fact}", figures)
    text = (
        "the least change of a value can turn an alarm on or off, since scores barely vary: "
        f"{fact}; fit again with other data or parameters before you rely on alarms"
    )
    return (False, text, figures)


def relative_spread(scores: Values) -> float:
    """(99th − 1st percentile) / median of scores (n,); 0 where all are 0."""
    low, middle, high = np.quantile(scores, [0.01, 0.5, 0.99])
    return float((high - low) / middle) if middle > 0 else float(high > low)


def columns_share(given: Given) -> Verdict:
    """Whether one column, or pixel, alone makes the scores that come nearest to an alarm."""
    n = min(max(FEWEST_STRONGEST, round(STRONGEST * len(given.scores))), MOST_STRONGEST)
    strongest = np.argsort(-given.scores, kind="stable")[:n]
    explanation = given.detector.explain(given.samples.take(np.sort(strongest)))
    blame = explanation.blame().reshape(len(explanation), -1)
    shares = np.divide(
        blame,
        explanation.scores[:, None],
        out=np.zeros_like(blame),
        where=explanation.scores[:, None] > 0,
    ).mean(axis=0)
    first = int(shares.argmax())
    share, columns = float(shares[first]), len(shares)
    name = given.detector.kind.part_name(given.detector.schema, first)
    figures: dict[str, Figure] = {"column": name, "share": share, "strongest": len(explanation)}
    what = f"of the {len(explanation)} highest scores of these normal {given.what}"
    if columns < 2:
        text = f"whether one column decides alone cannot be told: there is but one, {name}"
        return (None, text, figures)
    if share > ALONE:
        text = (
            f"alarms will mostly be about {name} alone, and others may be missed: it makes "
            f"{percent(share, 0)} {what}; look at its values (outliers, a constant that moved, a "
            "key), and leave it out if it is no measurement"
        )
        return (False, text, figures)
    text = f"no column decides alone: {name} has the largest share, {percent(share, 0)} {what}"
    return (True, text, figures)


def codes_differ(given: Given) -> Verdict:
    """Whether the latent space has collapsed to a point, by what the decoder makes of the codes."""
    detector = given.detector
    networks = detector.networks
    x = encoded(detector, given.samples, MOST_WATCHED, seed=given.seed)
    with torch.no_grad():
        z, reconstruction = networks(x)
    whole = spread(x)
    if len(x) < 2 or whole == 0:
        return (None, "the samples given do not differ: it cannot be told", {})
    flat = z.flatten(start_dim=1).cpu().double()
    length = float(latent_norm(z).cpu().double().mean())
    deviation = float((flat - flat.mean(dim=0)).square().sum(dim=1).mean().sqrt())
    ratio = spread(reconstruction) / whole
    spectrum = decoder_spectrum(detector, given.samples, seed=given.seed)
    figures: dict[str, Figure] = {
        "reconstructions_vary": ratio,
        "code_norm": length,
        "codes_vary": deviation / length if length > 0 else 0.0,
        "effective_rank": spectrum.effective_rank,
        "largest_singular_value": spectrum.largest,
    }
    if ratio >= CONSTANT:
        text = (
            f"reconstructions vary by {ratio:.2f} of what the {given.what} do; the decoder uses "
            f"{spectrum.effective_rank:.1f} directions of the code"
        )
        return (True, text, figures)
    told = chimeras_told(networks, x, detector.score.watched)
    figures["auroc_of_chimeras"] = told
    fact = (
        f"the latent space has collapsed to a point: all {given.what} are reconstructed alike "
        f"(reconstructions vary by {ratio:.4f} of what they do)"
    )
    if told >= TOLD:
        text = (
            f"{fact}; the norm of the code still tells them from chimeras, which are put together "
            f"from two of them, AUROC {told:.2f}"
        )
        return (True, text, figures)
    text = (
        f"anomalies may be missed: {fact}, and the score tells them from chimeras, which are put "
        f"together from two of them, with AUROC {told:.2f} only (0.5 is chance); fit again with a "
        "lower latent_weight, schedule='one_cycle', or a wider network"
    )
    return (False, text, figures)


def no_drift(given: Given) -> Verdict:
    """Whether these samples score as those of calibration; and those of a recalibration did."""
    found = given.detector.calibration.drift(given.scores)
    moved = [note for note in given.detector.facts.notes if note.startswith(MOVED)]
    if found is None:
        text = "the model holds no scores of held-out samples to compare these with"
        return (None, text, {})
    figures: dict[str, Figure] = {"statistic": found.statistic, "p_value": found.p_value}
    facts = f"Kolmogorov-Smirnov statistic {found.statistic:.3f}, p = {number(found.p_value)}"
    if found.p_value < DRIFT:
        text = (
            f"the promised false-alarm rate may not hold for {given.what} like these: they are "
            f"scored otherwise than those of calibration ({facts}); recalibrate, or fit again"
        )
        return (False, text, figures)
    if moved:
        text = f"the model may know normal {given.what} as they were, not as they are: {moved[-1]}"
        return (False, text, figures)
    text = f"these {given.what} are scored as those of calibration are ({facts})"
    return (True, text, figures)


def no_copies(given: Given) -> Verdict:
    """Whether the same samples stand on both sides of a split.

    A model holds no calibration samples, so fitting counted those that equal a training sample; and
    the samples that are given are held against each other, and against those that it remembers.
    """
    detector = given.detector
    x = encoded(detector, given.samples, MOST, most_values=COMPARED_VALUES, seed=given.seed)
    rows = [row.tobytes() for row in x.cpu().numpy()]
    repeated = len(rows) - len(set(rows))
    figures: dict[str, Figure] = {"given": len(rows), "given_repeated": repeated}
    said = [note for note in detector.facts.notes if REPEATED in note]
    if repeated > MOST_REPEATED * len(rows):
        said.append(
            f"{repeated:,} of these {len(rows):,} {given.what} equal another of them, and a random "
            "split of such data has copies on both sides: remove the copies"
        )
    if remembers(detector):
        remembered = remembered_among(detector, x)
        figures["given_remembered"] = remembered
        if remembered > MOST_REPEATED * len(rows):
            said.append(
                f"{remembered:,} of these {len(rows):,} {given.what} equal one that the model "
                "remembers from fitting: give others, which were not fitted"
            )
    if said:
        text = f"new {given.what} may do worse than the figures here: {'; '.join(said)}"
        return (False, text, figures)
    text = f"{repeated:,} of these {len(rows):,} {given.what} equal another of them"
    return (True, text, figures)


def extrapolates(given: Given, found: Extrapolation | None = None) -> Verdict:
    """Whether a score that has left the normal ones stays above them, far from all data."""
    try:
        found = found or along_rays(given.detector, given.samples, seed=given.seed)
    except InvalidInput as error:
        return (None, str(error), {})
    figures: dict[str, Figure] = {
        "rays": len(found.above),
        "left": found.left,
        "stays": found.stays,
        "at_the_end": float(found.share_above[-1]),
    }
    where = found.where
    share = f"on {percent(found.stays, 0)} of {len(found.above)} ways {where}"
    if found.stays >= STAYS:
        text = f"{share}, the score leaves the normal ones and stays above them"
        return (True, text, figures)
    text = (
        f"something far from all data may look normal and raise no alarm: only {share} does the "
        "score leave the normal ones and stay above them; check the range of values before scoring"
    )
    return (False, text, figures)


FAR = "far from all data"
CHECKS: dict[str, Callable[[Given], Verdict]] = {
    "data for the promise": enough_data,
    "spread of the scores": scores_vary,
    "no column decides alone": columns_share,
    "latent space": codes_differ,
    "drift": no_drift,
    "no copies across the split": no_copies,
    FAR: extrapolates,
}
