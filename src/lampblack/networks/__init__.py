"""Networks: an encoder and a decoder, and the pair that every detector trains."""

from lampblack.networks.dense import dense_networks
from lampblack.networks.pair import AutoencoderPair

__all__ = ["AutoencoderPair", "dense_networks"]
