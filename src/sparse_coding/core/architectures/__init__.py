"""The kinds of sparse autoencoder, by the name that params.yaml uses."""

from sparse_coding.core.architectures import tied, topk, untied
from sparse_coding.core.architectures.contract import Architecture

BY_NAME: dict[str, Architecture] = {"tied": tied, "untied": untied, "topk": topk}
