"""Networks: an encoder and a decoder, the pair that every detector trains, and a critic."""

from lampblack.networks.convolutional import PUBLISHED, NetworkName, convolutional_networks
from lampblack.networks.critic import (
    AdversarialPair,
    Critic,
    convolutional_critic,
    dense_critic,
)
from lampblack.networks.dense import dense_networks
from lampblack.networks.pair import AutoencoderPair

__all__ = [
    "PUBLISHED",
    "AdversarialPair",
    "AutoencoderPair",
    "Critic",
    "NetworkName",
    "convolutional_critic",
    "convolutional_networks",
    "dense_critic",
    "dense_networks",
]
