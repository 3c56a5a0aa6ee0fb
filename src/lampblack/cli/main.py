"""`lampblack`: fit, score, evaluate, report, diagnose, calibrate, info, export, serve, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lampblack import __version__
from lampblack.cli import options
from lampblack.cli.errors import reported
from lampblack.exceptions import InvalidInput

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
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            help="Normal rows (CSV, also .gz, or Parquet) or normal images (a folder, IDX, .npz)."
        ),
    ],
    output: options.NewModel,
    detector: Annotated[
        options.DetectorName, typer.Option("--detector", "-d", help="Which detector to fit.")
    ] = options.DetectorName.lampblack,
    columns: options.Columns = None,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    types: options.Types = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
    label: Annotated[
        str | None,
        typer.Option(
            help="AMA, tables: column that marks known anomalies, with --anomaly or --normal."
        ),
    ] = None,
    anomaly: Annotated[
        list[str] | None,
        typer.Option(help="AMA: label or class of known anomalies; may be given again."),
    ] = None,
    normal: Annotated[
        list[str] | None,
        typer.Option(help="Normal class (a folder of images) or label; may be given again."),
    ] = None,
    ama_score: Annotated[
        options.ScoreName | None, typer.Option("--score", help="AMA: what to score by.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Images: resize all to squares of so many pixels.")
    ] = None,
    network: Annotated[
        options.NetworkName | None, typer.Option(help="Images: a published network by name.")
    ] = None,
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="Share of new normal rows that may raise an alarm. [default: 0.01]"),
    ] = None,
    contamination: Annotated[
        float | None,
        typer.Option(help="Share of these rows to flag instead; promises nothing for new rows."),
    ] = None,
    error: Annotated[
        options.ErrorName | None, typer.Option(help="Reconstruction error. [default: detector's]")
    ] = None,
    amplification: Annotated[
        options.AmplificationName | None,
        typer.Option(help="Amplification of the training error. [default: detector's]"),
    ] = None,
    latent_weight: Annotated[
        float | None, typer.Option(help="Weight of the code's norm. [default: detector's]")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of training.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Stop on held-out normal rows.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 0,
    device: options.Device = "auto",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints; the same command resumes from there."),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Leave rows in a Parquet file and read them as needed. [default: from 1 GiB on]",
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Fit a detector to normal rows or images and save it as a model folder."""
    from lampblack.cli.fit import run

    parameters: dict[str, Any] = {
        "false_alarm_rate": false_alarm_rate,
        "contamination": contamination,
        "reconstruction_error": error and error.value,
        "latent_weight": latent_weight,
        "score_by": ama_score and ama_score.value,
        "image_size": image_size,
        "network": network and network.value,
        "max_steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "early_stopping": early_stopping,
        "random_state": seed,
        "device": device,
        "verbose": not quiet,
    }
    if contamination is not None and false_alarm_rate is not None:
        raise InvalidInput("--contamination promises no false-alarm rate; give one of the two")
    given = {name: value for name, value in parameters.items() if value is not None}
    if amplification is not None:
        off = amplification is options.AmplificationName.none
        given["amplification"] = None if off else amplification.value
    run(
        data,
        output,
        detector.value,
        options.Reading.of(no_header, delimiter, types, missing),
        options.Selection.of(columns, exclude, where, on_bad_row),
        given,
        checkpoint,
        options.Known(label, anomaly or [], normal or []),
        stream=stream,
    )


@app.command()
@reported
def score(
    model: options.Model,
    data: Annotated[
        list[Path],
        typer.Argument(
            help="Rows (CSV, also .gz, or Parquet) or images (a folder, a file) to score. Several "
            "files, a pattern ('data/*.parquet') or a folder of files need -o FOLDER."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="CSV or Parquet file, or - for CSV on standard output; FOLDER/ for one file each.",
        ),
    ] = None,
    id_column: options.IdColumn = None,
    explain: Annotated[
        int,
        typer.Option(
            min=0,
            help="Name the columns that contribute most, this many. "
            "[default: 3 on the screen, 0 with -o]",
            show_default=False,
        ),
    ] = 0,
    heatmaps: Annotated[
        Path | None, typer.Option(help="Images: folder for heat maps and a contact sheet.")
    ] = None,
    resize: options.Resize = False,
    skip_unreadable: options.SkipUnreadable = False,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
    engine: Annotated[
        options.EngineName, typer.Option(help="Folders: score in this process, or with Ray.")
    ] = options.EngineName.local,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray: processes that score. [default: a core each]")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray: the cluster. [default: RAY_ADDRESS, else this machine]"),
    ] = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Score rows or images: decisions, p-values, reasons.

    Files are streamed and may be larger than memory. Each row or image gets its key, its anomaly
    score, its p-value and the decision; --explain adds the columns that contribute most, --heatmaps
    draws the pixels that do. Into a folder, the same command goes on where it was killed.
    """
    from lampblack.cli.score import run

    run(
        model,
        data,
        output,
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        id_column=id_column,
        explain=explain,
        heatmaps=heatmaps,
        resize=resize,
        skip_unreadable=skip_unreadable,
        device=device,
        quiet=quiet,
        cluster=options.Cluster(engine.value, workers, address),
    )


@app.command()
@reported
def evaluate(
    model: options.Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Rows with a label (CSV, also .gz, or Parquet) or images (one folder a class)."
        ),
    ],
    label: options.Label = None,
    anomaly: options.Anomaly = None,
    normal: options.Normals = None,
    resize: options.Resize = False,
    skip_unreadable: options.SkipUnreadable = False,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Compare scores and decisions with labels.

    Prints AUROC, average precision, F1 at the threshold and the realised false-alarm rate; for
    images with masks also the AUROC over pixels and AUPRO.
    """
    from lampblack.cli.evaluate import run

    run(
        model,
        data,
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        label=label,
        anomaly=anomaly or [],
        normal=normal or [],
        resize=resize,
        skip_unreadable=skip_unreadable,
        device=device,
        as_json=as_json,
    )


@app.command()
@reported
def report(
    model: options.ModelFolder,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path(
        "report.html"
    ),
    id_column: options.IdColumn = None,
    label: options.Label = None,
    anomaly: options.Anomaly = None,
    normal: options.Normals = None,
    resize: options.Resize = False,
    skip_unreadable: options.SkipUnreadable = False,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
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
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        id_column=id_column,
        label=label,
        anomaly=anomaly or [],
        normal=normal or [],
        resize=resize,
        skip_unreadable=skip_unreadable,
        diagnosed=diagnosed,
        device=device,
        quiet=quiet,
        to_folder=False,
    )
    write_page(output, content, as_json=as_json)


@app.command()
@reported
def plot(
    model: options.ModelFolder,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path(
        "plots"
    ),
    ending: Annotated[
        options.PictureFormat, typer.Option("--format", help="Of the pictures.")
    ] = options.PictureFormat.png,
    id_column: Annotated[
        str | None,
        typer.Option("--id", help="Column that names a row, as for report; no picture shows it."),
    ] = None,
    label: options.Label = None,
    anomaly: options.Anomaly = None,
    normal: options.Normals = None,
    resize: options.Resize = False,
    skip_unreadable: options.SkipUnreadable = False,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Write the report's figures as pictures."""
    from lampblack.cli.report import gather, write_pictures

    content = gather(
        model,
        data,
        output,
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        id_column=id_column,
        label=label,
        anomaly=anomaly or [],
        normal=normal or [],
        resize=resize,
        skip_unreadable=skip_unreadable,
        diagnosed=False,
        device=device,
        quiet=quiet,
        to_folder=True,
    )
    write_pictures(output, content, f".{ending.value}")


@app.command()
@reported
def calibrate(
    model: options.ModelFolder,
    data: Annotated[
        Path,
        typer.Argument(
            help="New normal rows, none that were fitted (CSV, also .gz, or Parquet), or images."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Save here. [default: in place]")
    ] = None,
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="New rate to promise. [default: the model's]")
    ] = None,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
    normal: options.Normal = None,
    device: options.Device = "auto",
) -> None:
    """Set a new threshold without training."""
    from lampblack.cli.calibrate import run

    run(
        model,
        data,
        output or model,
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        false_alarm_rate,
        normal or [],
        device,
    )


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
def diagnose(
    model: options.Model,
    data: Annotated[
        Path,
        typer.Argument(help="Normal rows (CSV, also .gz, or Parquet) or images, not fitted ones."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for diagnosis.json and the figures.")
    ] = Path("diagnosis"),
    ending: Annotated[
        options.PictureFormat, typer.Option("--format", help="Of the figures.")
    ] = options.PictureFormat.png,
    label: options.Label = None,
    anomaly: options.Anomaly = None,
    normal: options.Normals = None,
    resize: options.Resize = False,
    skip_unreadable: options.SkipUnreadable = False,
    exclude: options.Exclude = None,
    where: options.Where = None,
    no_header: options.NoHeader = False,
    delimiter: options.Delimiter = None,
    missing: options.Missing = None,
    on_bad_row: options.OnBadRow = options.BadRowChoice.fail,
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
        options.Reading.of(no_header, delimiter, None, missing),
        options.Selection.of(None, exclude, where, on_bad_row),
        label=label,
        anomaly=anomaly or [],
        normal=normal or [],
        ending=f".{ending.value}",
        resize=resize,
        skip_unreadable=skip_unreadable,
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
    ] = options.ExportFormat.onnx,
) -> None:
    """Write a model as one portable file.

    Preprocessing, network, score and threshold in one ONNX graph: score and evaluate take it in
    place of a model folder, without torch, and so does any program that runs ONNX.
    """
    from lampblack.cli.export import run

    run(model, output)


@app.command()
@reported
def serve(
    model: Annotated[Path, typer.Argument(help="A model folder, or an .onnx file.")],
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port. [default: 8000]")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that clients must present.")
    ] = None,
    max_body: Annotated[
        float | None, typer.Option(help="MiB that one request may have. [default: 16]")
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(help="Rows that one request may have. [default: 100000]")
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(help="Images that one request may have. [default: 64]")
    ] = None,
    queue: Annotated[
        int | None, typer.Option(help="Requests taken at one time. [default: 128]")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(help="Seconds to answer a request. [default: 30]")
    ] = None,
    body_timeout: Annotated[
        float | None, typer.Option(help="Seconds to receive a request. [default: 30]")
    ] = None,
    idle_timeout: Annotated[
        float | None, typer.Option(help="Seconds a connection may lie idle. [default: 15]")
    ] = None,
    batch_wait: Annotated[
        float | None, typer.Option(help="Seconds to wait for further requests. [default: 0.002]")
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(help="Seconds from not ready to not listening, at the end. [default: 1]"),
    ] = None,
    allowed_hosts: Annotated[
        str | None, typer.Option(help="Without token: further names in Host: a,b.")
    ] = None,
    cors_origins: Annotated[
        str | None, typer.Option(help="Pages of these origins may call: https://a,https://b.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [default: auto]")
    ] = None,
    access_log: Annotated[
        bool | None, typer.Option("--access-log", help="Print a line for each request.")
    ] = None,
) -> None:
    """Serve a model over HTTP, with a page at / for people.

    Each option can be set as LAMPBLACK_NAME in the environment, and the token as LAMPBLACK_TOKEN.
    SIGHUP takes a new model in, SIGTERM finishes what was accepted.
    """
    from lampblack.cli.serve import run

    run(
        model,
        host=host,
        port=port,
        token_file=token_file,
        max_body=max_body,
        max_rows=max_rows,
        max_images=max_images,
        queue=queue,
        deadline=deadline,
        body_timeout=body_timeout,
        idle_timeout=idle_timeout,
        batch_wait=batch_wait,
        drain=drain,
        allowed_hosts=allowed_hosts,
        cors_origins=cors_origins,
        device=device,
        access_log=access_log,
    )


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
