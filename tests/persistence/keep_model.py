"""Write a small model of the present format: `python -m tests.persistence.keep_model`.

Once a format is released its folder stays as it is, so that later versions show that they read it.
"""

from __future__ import annotations

import json
from pathlib import Path

import lampblack
from lampblack.persistence.config import FORMAT
from tests.conftest import mixed_frame


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


if __name__ == "__main__":
    main()
