"""Where the arithmetic runs."""

from __future__ import annotations

import torch

from lampblack.exceptions import InvalidInput


def resolve_device(name: str) -> torch.device:
    """The torch device of a name; "auto" is CUDA where there is one, else MPS, else the CPU.

    Only the CPU is tested. Raises InvalidInput where the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidInput(f"unknown device {name!r}; use auto, cpu, cuda, cuda:1 or mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    there["mps"] = torch.backends.mps.is_available()
    if not there.get(device.type, False):
        raise InvalidInput(f"device {name!r} is not available on this machine; use auto or cpu")
    return device
