"""What can go wrong, drawn as a tree.

LampblackError
├── InvalidInput (also a ValueError)      the data or a parameter cannot be used
│   └── SchemaMismatch                    new data lack the columns or types that were fitted
├── TrainingError (also a RuntimeError)   training broke down, or met a foreign checkpoint
├── ExportError                           a detector holds what a portable model cannot
└── ModelFileError                        a saved model is missing, damaged, newer or unknown

LampblackWarning (a UserWarning)
├── CalibrationWarning                    too few rows calibrated for the rate that was asked for
├── CollapseWarning                       the network no longer tells rows apart
└── TrainingWarning                       training did not lower the loss, or could not use a column
"""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, which torch, on a CPU, says in a RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


class LampblackError(Exception):
    """Base of every error raised on purpose by this library. Its text is one line."""


class InvalidInput(LampblackError, ValueError):
    """The data or a parameter cannot be used; the text says what, where and what to do."""


class SchemaMismatch(InvalidInput):
    """New data do not have the columns or the types of the data that were fitted."""


class TrainingError(LampblackError, RuntimeError):
    """Training could not go on; the text names the step and the likely cause."""


class ExportError(LampblackError):
    """A detector cannot be exported; the text names the column or the network, and a way out."""


class ModelFileError(LampblackError):
    """A saved model, folder or portable, is missing, damaged, newer, or not a model."""


class LampblackWarning(UserWarning):
    """Base of every warning given by this library."""


class CalibrationWarning(LampblackWarning):
    """Too few rows calibrated for the false-alarm or false-discovery rate that was asked for."""


class TrainingWarning(LampblackWarning):
    """Training did not lower its loss, or there was nothing to learn from a column."""


class CollapseWarning(LampblackWarning):
    """Codes or scores of held-out rows have no spread: the network tells rows apart no more."""
