"""Networks: an encoder and a decoder, the pair that every detector trains, and a critic."""

from lampblack.networks.convolutional import convolutional_networks
from lampblack.networks.critic import (
    AdversarialPair,
    Critic,
    convolutional_critic,
    dense_critic,
)
from lampblack.networks.dense import dense_networks
from lampblack.networks.pair import AutoencoderPair
from lampblack.networks.positions import context_networks, position_networks
from lampblack.networks.published import PUBLISHED
from lampblack.networks.residual import ama_cifar10_critic

__all__ = [
    "PUBLISHED",
    "AdversarialPair",
    "AutoencoderPair",
    "Critic",
    "ama_cifar10_critic",
    "context_networks",
    "convolutional_critic",
    "convolutional_networks",
    "dense_critic",
    "dense_networks",
    "position_networks",
]
