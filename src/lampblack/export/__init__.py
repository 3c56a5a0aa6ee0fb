"""Export: a fitted detector as one file that runs without this library's training side."""

from lampblack.export.onnx_file import export_onnx

__all__ = ["export_onnx"]
