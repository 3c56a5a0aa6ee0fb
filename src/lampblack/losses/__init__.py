"""Losses: pure functions of tensors that return a value per element or per sample, never a mean."""

from lampblack.losses.adversarial import critic_loss, deception_loss, gradient_penalty
from lampblack.losses.amplification import amplify, amplify_rescaled
from lampblack.losses.latent import latent_norm
from lampblack.losses.reconstruction import elementwise_error, reconstruction_error

__all__ = [
    "amplify",
    "amplify_rescaled",
    "critic_loss",
    "deception_loss",
    "elementwise_error",
    "gradient_penalty",
    "latent_norm",
    "reconstruction_error",
]
