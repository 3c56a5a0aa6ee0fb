"""What do the commands say on MNIST as it is?

MNIST from the shell, the digit 8 normal.
"""

from __future__ import annotations

from benchmarks.lab.sessions import of_data, session

COMMANDS = """
lampblack fit train-images-idx3-ubyte.gz --normal 8 -o eight.model
lampblack evaluate eight.model t10k-images-idx3-ubyte.gz --normal 8
"""

STUDY = session("digits-session", COMMANDS, of_data("mnist"))
