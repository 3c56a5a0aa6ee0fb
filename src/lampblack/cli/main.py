"""`lampblack`: fit, score, evaluate, report, diagnose, calibrate, info, export, serve, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lampblack import __version__
from lampblack.cli import options
from lampblack.cli.errors import reported
from lampblack.cli.groups import spread
from lampblack.cli.training import Training

app = typer.Typer(
    name="lampblack",
    help="Find what normal data cannot explain. Start with: lampblack demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lampblack {__version__}")
        raise typer.Exit


@app.callback()
def lampblack(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Find what normal data cannot explain. Start with: lampblack demo."""


@app.command()
@reported
@spread
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            help="Normal rows (CSV, also .gz, or Parquet) or normal images (a folder, IDX, .npz)."
        ),
    ],
    *,
    output: options.NewModel,
    detector: options.Detector = "lampblack",
    rows: options.FittedRowOptions,
    known: options.KnownOptions,
    training: Training,
    how: options.FitOptions,
    quiet: options.Quiet = False,
) -> None:
    """Fit a detector to normal rows or images and save it as a model folder."""
    from lampblack.cli.fit import run

    run(data, output, detector, rows, known, training, how, quiet=quiet)


@app.command()
@reported
@spread
def score(
    model: options.Model,
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Rows (CSV, also .gz, or Parquet) or images (a folder, a file) to score. Several "
            "files, a pattern ('data/*.parquet') or a folder of files need -o FOLDER."
        ),
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="CSV or Parquet file, or - for CSV on standard output; FOLDER/ for one file each.",
        ),
    ] = None,
    reasons: options.ReasonOptions,
    reading: options.DataOptions,
    cluster: options.ClusterOptions,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Score rows or images: decisions, p-values, reasons.

    Files are streamed and may be larger than memory. Each row or image gets its key, its anomaly
    score, its p-value and the decision; --explain adds the columns that contribute most, --heatmaps
    draws the pixels that do. Into a folder, the same command goes on where it was killed.
    """
    from lampblack.cli.score import run

    run(model, data, output, reading, reasons, cluster, device=device, quiet=quiet)


@app.command()
@reported
@spread
def evaluate(
    model: options.Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Rows with a label (CSV, also .gz, or Parquet) or images (one folder a class)."
        ),
    ],
    labels: options.LabelOptions,
    reading: options.DataOptions,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Compare scores and decisions with labels.

    Prints AUROC, average precision, F1 at the threshold and the realised false-alarm rate; for
    images with masks also the AUROC over pixels and AUPRO.
    """
    from lampblack.cli.evaluate import run

    run(model, data, reading, labels, device=device, as_json=as_json)


@app.command()
@reported
@spread
def report(
    model: options.ModelFolder,
    data: options.Data,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "report.html"
    ),
    key: options.KeyOption,
    labels: options.LabelOptions,
    reading: options.DataOptions,
    diagnosed: Annotated[
        bool,
        typer.Option(
            "--diagnose/--no-diagnose",
            help="Draw the diagnosis too: loss landscape, codes, critic, rays far from the data. "
            "It takes some seconds; what is not done after about 30 is left out, and named.",
        ),
    ] = True,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Score rows or images into one page that opens offline.

    Scores beside those of calibration, alarms in order or over time, the strongest with what was
    expected, drift, figures against labels where --label or --normal is given, and a diagnosis of
    the model.
    """
    from lampblack.cli.report import gather, write_page

    content = gather(
        model,
        data,
        output,
        reading,
        labels,
        key,
        diagnosed=diagnosed,
        device=device,
        quiet=quiet,
        to_folder=False,
    )
    write_page(output, content, as_json=as_json)


@app.command()
@reported
@spread
def plot(
    model: options.ModelFolder,
    data: options.Data,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path(
        "plots"
    ),
    ending: Annotated[
        options.PictureFormat, typer.Option("--format", help="Of the pictures.")
    ] = "png",
    key: options.PlotKeyOption,
    labels: options.LabelOptions,
    reading: options.DataOptions,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Write the report's figures as pictures."""
    from lampblack.cli.report import gather, write_pictures

    content = gather(
        model,
        data,
        output,
        reading,
        labels,
        key,
        diagnosed=False,
        device=device,
        quiet=quiet,
        to_folder=True,
    )
    write_pictures(output, content, f".{ending}")


@app.command()
@reported
@spread
def calibrate(
    model: options.ModelFolder,
    data: Annotated[
        Path,
        typer.Argument(
            help="New normal rows, none that were fitted (CSV, also .gz, or Parquet), or images."
        ),
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Save here. [default: in place]")
    ] = None,
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="New rate to promise. [default: the model's]")
    ] = None,
    rows: options.RowOptions,
    normal: options.NormalOption,
    device: options.Device = "auto",
) -> None:
    """Set a new threshold without training."""
    from lampblack.cli.calibrate import run

    rate = false_alarm_rate
    run(model, data, output or model, rows, normal, false_alarm_rate=rate, device=device)


@app.command()
@reported
def info(
    model: options.Model,
    as_json: options.AsJson = False,
) -> None:
    """Show what a model is and what it promises."""
    from lampblack.cli.info import run

    run(model, as_json=as_json)


@app.command()
@reported
@spread
def diagnose(
    model: options.Model,
    data: Annotated[
        Path,
        typer.Argument(help="Normal rows (CSV, also .gz, or Parquet) or images, not fitted ones."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for diagnosis.json and the figures.")
    ] = Path("diagnosis"),
    ending: Annotated[
        options.PictureFormat, typer.Option("--format", help="Of the figures.")
    ] = "png",
    labels: options.LabelOptions,
    reading: options.DataOptions,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same figures.")] = 0,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Say when not to trust a model, with figures.

    Looks at the loss around the trained weights, the codes, the critic if there is one, and the
    score far from all data, on normal samples. Labels, where given, tell anomalies apart for the
    figures alone.
    """
    from lampblack.cli.diagnose import run

    run(
        model,
        data,
        output,
        reading,
        labels,
        ending=f".{ending}",
        seed=seed,
        device=device,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
@reported
def export(
    model: options.ModelFolder,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; it ends in .onnx.")
    ] = Path("model.onnx"),
    format_: Annotated[
        options.ExportFormat, typer.Option("--format", help="What to export to.")
    ] = "onnx",
) -> None:
    """Write a model as one portable file.

    Preprocessing, network, score and threshold in one ONNX graph: score and evaluate take it in
    place of a model folder, without torch, and so does any program that runs ONNX.
    """
    from lampblack.cli.export import run

    run(model, output, format_)


@app.command()
@reported
@spread
def serve(
    model: Annotated[Path, typer.Argument(help="A model folder, or an .onnx file.")],
    service: options.ServiceOptions,
) -> None:
    """Serve a model over HTTP, with a page at / for people.

    Each option can be set as LAMPBLACK_NAME in the environment, and the token as LAMPBLACK_TOKEN.
    SIGHUP takes a new model in, SIGTERM finishes what was accepted.
    """
    from lampblack.cli.serve import run

    run(model, **vars(service))


@app.command()
@reported
def demo(
    output: options.NewModel = Path("demo.model"),
) -> None:
    """Fit, score and explain a built-in table.

    Benign tumours are normal; the others are scored, and the strongest alarms shown with their
    reasons.
    """
    from lampblack.cli.demo import run

    run(output)


if __name__ == "__main__":
    app()
