"""Write small models of the present format: `python -m tests.persistence.keep_model`.

Once a format is released its folder stays as it is, so that later versions show that they read it.
"""

from __future__ import annotations

import json
from pathlib import Path

import lampblack
from lampblack.persistence.config import FORMAT
from tests.conftest import discs, mixed_frame


def main() -> None:
    """Fit, save, and note what a few rows score."""
    folder = Path(__file__).parent / "models"
    folder.mkdir(exist_ok=True)
    frame = mixed_frame(300)
    detector = lampblack.TollDetector(max_steps=100, hidden=(16, 8), latent_dim=4).fit(frame)
    detector.save(folder / f"format-{FORMAT}.model")
    rows = frame.head(6).assign(city=["Bern", "Oslo", "Rome", "Atlantis", "Bern", "Oslo"])
    expected = {
        "rows": json.loads(rows.to_json(orient="records", date_format="iso")),
        "scores": detector.anomaly_score(rows).tolist(),
        "predictions": detector.predict(rows).tolist(),
    }
    (folder / f"format-{FORMAT}.json").write_text(json.dumps(expected, indent=1) + "\n")
    images = discs(200, size=8)
    detector = lampblack.TollDetector(max_steps=60, width=4, latent_dim=4).fit(images)
    detector.save(folder / f"format-{FORMAT}-images.model")
    some = discs(6, seed=1, size=8)
    some[5] = 255 - some[5]
    expected = {
        "images": some.tolist(),
        "scores": detector.anomaly_score(some).tolist(),
        "predictions": detector.predict(some).tolist(),
    }
    (folder / f"format-{FORMAT}-images.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
