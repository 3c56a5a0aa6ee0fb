"""A model on disk: a folder without code, checked byte for byte before any of it is used."""

from lampblack.persistence.config import CalibrationFacts, ModelConfig, read_config
from lampblack.persistence.folder import check_target, is_model_folder, read_folder, write_folder

__all__ = [
    "CalibrationFacts",
    "ModelConfig",
    "check_target",
    "is_model_folder",
    "read_config",
    "read_folder",
    "write_folder",
]
