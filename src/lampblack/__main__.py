"""`python -m lampblack`: the command line."""

from lampblack.cli.main import app

app(prog_name="lampblack")
