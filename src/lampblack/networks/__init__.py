"""Networks: an encoder and a decoder, and the pair that every detector trains."""

from lampblack.networks.convolutional import PUBLISHED, NetworkName, convolutional_networks
from lampblack.networks.dense import dense_networks
from lampblack.networks.pair import AutoencoderPair

__all__ = [
    "PUBLISHED",
    "AutoencoderPair",
    "NetworkName",
    "convolutional_networks",
    "dense_networks",
]
