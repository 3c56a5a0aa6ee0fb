"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lampblack.data.tables.names import split_names
from lampblack.exceptions import InvalidInput


class DetectorName(str, Enum):
    """Names in the registry; a test holds the two equal."""

    ama = "ama"
    autoencoder = "autoencoder"
    lamp = "lamp"
    lampblack = "lampblack"
    toll = "toll"


class ErrorName(str, Enum):
    """Reconstruction errors."""

    l2 = "l2"
    l1 = "l1"
    l2_norm = "l2_norm"
    ssim = "ssim"


class AmplificationName(str, Enum):
    """Amplifications, and none."""

    none = "none"
    log = "log"
    quantile = "quantile"


class ScoreName(str, Enum):
    """Scores of AMA; a test holds them equal to those of the library."""

    critic = "critic"
    typicality = "typicality"
    mahalanobis = "mahalanobis"
    joint = "joint"
    reconstruction = "reconstruction"


class NetworkName(str, Enum):
    """Networks for images; a test holds them equal to those of the library."""

    auto = "auto"
    toll_mnist = "toll-mnist"
    toll_cifar10 = "toll-cifar10"
    ama_cifar10 = "ama-cifar10"


class EngineName(str, Enum):
    """Where many files are scored; a test holds them equal to those of the library."""

    local = "local"
    ray = "ray"


class PictureFormat(str, Enum):
    """How pictures are written."""

    png = "png"
    svg = "svg"


class ExportFormat(str, Enum):
    """What a portable model is written as."""

    onnx = "onnx"


class BadRowChoice(str, Enum):
    """What to do with a row that cannot be used."""

    fail = "fail"
    skip = "skip"


Model = Annotated[Path, typer.Argument(help="A model folder, or model.onnx.")]
ModelFolder = Annotated[Path, typer.Argument(help="A model folder.")]
NewModel = Annotated[Path, typer.Option("--output", "-o", help="Where to save the model.")]
Data = Annotated[Path, typer.Argument(help="Rows (CSV, also .gz, or Parquet) or images.")]
Columns = Annotated[
    list[str] | None, typer.Option(help="Use these columns alone: a,b,c; may be given again.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Leave these columns out: a,b,c; may be given again.")
]
Where = Annotated[
    str | None, typer.Option(help="Use rows that meet this condition: \"label != 'bad'\".")
]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The file has no header; columns are c1, c2, ...")
]
Delimiter = Annotated[
    str | None, typer.Option(help="Delimiter of a CSV file. [default: found from the first line]")
]
Types = Annotated[
    list[str] | None,
    typer.Option(help="column=number|boolean|category|date; may be given again."),
]
Missing = Annotated[
    list[str] | None, typer.Option(help="Further spelling of a missing value; may be given again.")
]
OnBadRow = Annotated[
    BadRowChoice,
    typer.Option("--on-bad-row", help="Stop at a row that cannot be read, or skip and count it."),
]


Normal = Annotated[
    list[str] | None,
    typer.Option("--normal", help="Images: class that is normal (a folder); may be given again."),
]
IdColumn = Annotated[
    str | None, typer.Option("--id", help="Column that names a row. [default: its number]")
]
Normals = Annotated[
    list[str] | None,
    typer.Option(help="Label, or folder, of the normal ones, all others being anomalies."),
]
Label = Annotated[str | None, typer.Option(help="Tables: the column that holds the label.")]
Anomaly = Annotated[
    list[str] | None, typer.Option(help="Tables: label of anomalies; may be given again.")
]
Resize = Annotated[bool, typer.Option("--resize", help="Images: bring other sizes to the model's.")]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Images: go on past one that cannot be read.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


@dataclass(frozen=True)
class Reading:
    """How the file is written; None where the user did not say."""

    no_header: bool
    delimiter: str | None
    types: dict[str, str]
    missing: tuple[str, ...]

    @classmethod
    def of(
        cls,
        no_header: bool,
        delimiter: str | None,
        types: list[str] | None,
        missing: list[str] | None,
    ) -> Reading:
        """From the options as given."""
        pairs = {}
        for text in split_names(types):
            name, equals, kind = text.rpartition("=")
            if not equals or not name:
                raise InvalidInput(f"--types {text}: write it as column=category")
            pairs[name] = kind
        return cls(no_header, delimiter, pairs, tuple(missing or ()))


@dataclass(frozen=True)
class Selection:
    """Which columns and rows of the file to use."""

    columns: list[str]
    exclude: list[str]
    where: str | None
    skip_bad_rows: bool

    @classmethod
    def of(
        cls,
        columns: list[str] | None,
        exclude: list[str] | None,
        where: str | None,
        on_bad_row: BadRowChoice,
    ) -> Selection:
        """From the options as given."""
        skip = on_bad_row is BadRowChoice.skip
        return cls(columns or [], exclude or [], where, skip)


@dataclass(frozen=True)
class Known:
    """What is known of the samples: a column of labels, and what its values or classes mean."""

    label: str | None
    anomaly: list[str]
    normal: list[str]


@dataclass(frozen=True)
class Cluster:
    """Where many files are scored: engine, processes, address; None where the user did not say."""

    engine: str
    workers: int | None
    address: str | None


@dataclass(frozen=True)
class Processes:
    """In how many processes to train: on each machine, and on how many machines."""

    devices: int | None
    num_nodes: int | None
