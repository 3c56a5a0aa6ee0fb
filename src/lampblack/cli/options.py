"""Options of the commands: each is written once, in the group of those that go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from lampblack.choices import OnBadRow, ScoringEngine
from lampblack.cli.groups import For
from lampblack.cli.training import DetectorName
from lampblack.data.tables.names import partition_type, split_types
from lampblack.exceptions import InvalidInput
from lampblack.export import FORMATS

if TYPE_CHECKING:
    from lampblack.data.tables.layout import RowFormat

    ExportFormat = str
else:
    ExportFormat = Literal[tuple(FORMATS)]

TABLES, IMAGES = For("table"), For("images")

Model = Annotated[Path, typer.Argument(help="A model folder, or model.onnx.")]
ModelFolder = Annotated[Path, typer.Argument(help="A model folder.")]
NewModel = Annotated[Path, typer.Option("--output", "-o", help="Where to save the model.")]
Data = Annotated[Path, typer.Argument(help="Rows (CSV, also .gz, or Parquet) or images.")]
Detector = Annotated[DetectorName, typer.Option("--detector", "-d", help="Which detector to fit.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
PictureFormat = Literal["png", "svg"]


@dataclass(frozen=True)
class RowOptions:
    """How a file of rows is written, and which of its rows and columns to use."""

    exclude: Annotated[
        list[str],
        typer.Option(help="Leave these columns out: a,b,c; may be given again."),
        TABLES,
    ] = field(default_factory=list)
    where: Annotated[
        str | None,
        typer.Option(help="Use rows that meet this condition: \"label != 'bad'\"."),
        TABLES,
    ] = None
    no_header: Annotated[
        bool,
        typer.Option("--no-header", help="The file has no header; columns are c1, c2, ..."),
        TABLES,
    ] = False
    delimiter: Annotated[
        str | None,
        typer.Option(help="Of a CSV file: a character, tab or space. [default: found]"),
        TABLES,
    ] = None
    decimal: Annotated[
        str | None,
        typer.Option(
            help="Decimal mark of a CSV file, where 1,234 may be two numbers. [default: .]"
        ),
        TABLES,
    ] = None
    missing: Annotated[
        list[str],
        typer.Option(help="Further spelling of a missing value; may be given again."),
        TABLES,
    ] = field(default_factory=list)
    not_missing: Annotated[
        list[str],
        typer.Option(help="Text that is no missing value, such as NA; may be given again."),
        TABLES,
    ] = field(default_factory=list)
    on_bad_row: Annotated[
        OnBadRow,
        typer.Option(help="Stop at a row that cannot be read, or skip and count it."),
        TABLES,
    ] = "fail"

    @property
    def skip_bad_rows(self) -> bool:
        """Whether a row that cannot be used is skipped rather than an error."""
        return self.on_bad_row == "skip"

    def format(self, reading: Mapping[str, object] | None = None) -> RowFormat:
        """How to read a file: as the user says, else as the fitted file was written."""
        from lampblack.data.tables.layout import RowFormat

        return RowFormat.of_reading(
            reading or {},
            header=False if self.no_header else None,
            delimiter=self.delimiter,
            decimal=self.decimal,
            missing=self.missing,
            not_missing=tuple(self.not_missing) or None,
        )


@dataclass(frozen=True)
class FittedColumns:
    """Which columns to learn from."""

    columns: Annotated[
        list[str],
        typer.Option(help="Use these columns alone: a,b,c; may be given again."),
        TABLES,
    ] = field(default_factory=list)


@dataclass(frozen=True)
class FittedRowOptions(RowOptions, FittedColumns):
    """The same of a file that is learned from."""

    types: Annotated[
        list[str],
        typer.Option(
            help="column=number|boolean|category|date, or column=date:%d/%m/%Y; may be given again."
        ),
        TABLES,
    ] = field(default_factory=list)

    def format(self, reading: Mapping[str, object] | None = None) -> RowFormat:
        """How to read the file, with the types that the user says."""
        pairs: dict[str, Any] = {}
        for text in split_types(self.types):
            name, equals, kind = partition_type(text)
            if not equals or not name:
                raise InvalidInput(f"--types {text}: write it as column=category")
            pairs[name] = kind
        return replace(super().format(reading), types=pairs)


@dataclass(frozen=True)
class ImageOptions:
    """What to do with images that are not as the model's."""

    resize: Annotated[
        bool, typer.Option("--resize", help="Images: bring other sizes to the model's."), IMAGES
    ] = False
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Images: go on past one that cannot be read."),
        IMAGES,
    ] = False


@dataclass(frozen=True)
class DataOptions(RowOptions, ImageOptions):
    """How to read samples of any kind: each kind of data adds the options that are its own."""


@dataclass(frozen=True)
class LabelOptions:
    """Which of the samples are anomalies, where that is known."""

    label: Annotated[
        str | None, typer.Option(help="Tables: the column that holds the label."), TABLES
    ] = None
    anomaly: Annotated[
        list[str], typer.Option(help="Tables: label of anomalies; may be given again."), TABLES
    ] = field(default_factory=list)
    normal: Annotated[
        list[str],
        typer.Option(help="Label, or folder, of the normal ones, all others being anomalies."),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class NormalOption:
    """Which images are normal."""

    label: ClassVar[None] = None
    anomaly: ClassVar[tuple[str, ...]] = ()

    normal: Annotated[
        list[str],
        typer.Option(help="Images: class that is normal (a folder); may be given again."),
        IMAGES,
    ] = field(default_factory=list)


@dataclass(frozen=True)
class KnownOptions:
    """What is known of samples to be fitted: which are anomalies, which normal."""

    label: Annotated[
        str | None,
        typer.Option(
            help="AMA, tables: column that marks known anomalies, with --anomaly or --normal."
        ),
        TABLES,
    ] = None
    anomaly: Annotated[
        list[str],
        typer.Option(help="AMA: label or class of known anomalies; may be given again."),
    ] = field(default_factory=list)
    normal: Annotated[
        list[str],
        typer.Option(help="Normal class (a folder of images) or label; may be given again."),
    ] = field(default_factory=list)


@dataclass(frozen=True)
class KeyOption:
    """What names a row."""

    id: Annotated[
        str | None, typer.Option(help="Column that names a row. [default: its number]"), TABLES
    ] = None


@dataclass(frozen=True)
class PlotKeyOption(KeyOption):
    """The same, where no picture shows it."""

    id: Annotated[
        str | None,
        typer.Option(help="Column that names a row, as for report; no picture shows it."),
        TABLES,
    ] = None


@dataclass(frozen=True)
class ReasonOptions(KeyOption):
    """What is said of each sample beside its score."""

    explain: Annotated[
        int,
        typer.Option(
            min=0,
            help="Name the columns that contribute most, this many. "
            "[default: 3 on the screen, 0 with -o]",
            show_default=False,
        ),
        TABLES,
    ] = 0
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Show this many of the highest scores, alarms or not. "
            "[default: 10 alarms; 3 scores where there is none]",
            show_default=False,
        ),
    ] = None
    heatmaps: Annotated[
        Path | None,
        typer.Option(help="Images: folder for heat maps and a contact sheet."),
        IMAGES,
    ] = None


@dataclass(frozen=True)
class ClusterOptions:
    """Where many files are scored; None where the user did not say."""

    engine: Annotated[
        ScoringEngine, typer.Option(help="Folders: score in this process, or with Ray.")
    ] = "local"
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray: processes that score. [default: a core each]")
    ] = None
    address: Annotated[
        str | None,
        typer.Option(help="Ray: the cluster. [default: RAY_ADDRESS, else this machine]"),
    ] = None


@dataclass(frozen=True)
class FitOptions:
    """How to fit, beside what the detector's parameters say."""

    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints; the same command resumes from there."),
    ] = None
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Leave rows in a Parquet file and read them as needed. [default: from 1 GiB on]",
        ),
        TABLES,
    ] = None


@dataclass(frozen=True)
class ServiceOptions:
    """Settings of the service; None where the environment, or else the default, says."""

    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = (
        None
    )
    port: Annotated[int | None, typer.Option(help="Port. [default: 8000]")] = None
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must present.")
    ] = None
    max_body: Annotated[
        float | None, typer.Option(help="MiB that one request may have. [default: 16]")
    ] = None
    max_rows: Annotated[
        int | None, typer.Option(help="Rows that one request may have. [default: 100000]")
    ] = None
    max_images: Annotated[
        int | None, typer.Option(help="Images that one request may have. [default: 64]")
    ] = None
    queue: Annotated[
        int | None, typer.Option(help="Requests taken at one time. [default: 128]")
    ] = None
    deadline: Annotated[
        float | None, typer.Option(help="Seconds to answer a request. [default: 30]")
    ] = None
    body_timeout: Annotated[
        float | None, typer.Option(help="Seconds to receive a request. [default: 30]")
    ] = None
    idle_timeout: Annotated[
        float | None, typer.Option(help="Seconds a connection may lie idle. [default: 15]")
    ] = None
    batch_wait: Annotated[
        float | None, typer.Option(help="Seconds to wait for further requests. [default: 0.002]")
    ] = None
    drain: Annotated[
        float | None,
        typer.Option(help="Seconds from not ready to not listening, at the end. [default: 1]"),
    ] = None
    allowed_hosts: Annotated[
        str | None, typer.Option(help="Without token: further names in Host: a,b.")
    ] = None
    cors_origins: Annotated[
        str | None, typer.Option(help="Pages of these origins may call: https://a,https://b.")
    ] = None
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [default: auto]")
    ] = None
    access_log: Annotated[
        bool | None, typer.Option("--access-log", help="Print a line for each request.")
    ] = None
