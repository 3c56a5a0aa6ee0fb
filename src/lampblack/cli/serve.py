"""`lampblack serve`: a model behind HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lampblack.exceptions import MissingExtra, ModelFileError

NEEDED = {
    "fastapi": "fastapi",
    "prometheus_client": "prometheus-client",
    "pydantic_settings": "pydantic-settings",
    "python_multipart": "python-multipart",
    "uvicorn": "uvicorn",
}


def run(model: Path, **given: object) -> None:
    """Check what can be checked at once, then listen and load."""
    for module, name in NEEDED.items():
        if find_spec(module) is None:
            raise MissingExtra(f"the service needs {name}", extra="serve")
    if not model.exists():
        raise ModelFileError(f"{model} does not exist; give a model folder or an .onnx file")
    from lampblack.service.settings import read_settings

    settings = read_settings(**given)
    settings.read_token()  # refused before anything slow
    if model.is_dir():
        from lampblack.persistence import read_config

        read_config(model)  # every file is checked; torch is not needed for it
    from lampblack.service.server import run

    run(model, settings)
