"""One fit: from checked samples to a calibrated model."""
