"""What other libraries hold, as a dictionary of ours with decoder rows of unit norm."""

import torch
from torch import Tensor

from sparse_coding.core.dictionary import Activation, Dictionary


def folded(
    encoder: Tensor,
    bias: Tensor,
    decoder: Tensor,
    centre: Tensor,
    *,
    is_centred: bool = True,
    k: int | None = None,
    threshold: Tensor | None = None,
    scale: float = 1.0,
) -> Dictionary:
    """c = activation((s z - centre) encoder^T + bias), s z = c decoder + centre, where s is `scale`, as one of z.

    encoder, decoder: [n_feat, d_act]; threshold: of c, [n_feat]. The length of a decoder row goes into its code. TopK
    chooses by the codes that come of it. is_centred: False: the encoder sees s z itself.
    """
    centre = centre.detach() / scale
    encoder, bias, decoder = (each.detach() for each in (encoder, bias, decoder))
    bias = bias / scale if is_centred else bias / scale + encoder @ centre
    lengths = decoder.norm(dim=1).clamp(min=torch.finfo(decoder.dtype).tiny)
    activation: Activation = "topk" if k else "relu" if threshold is None else "jumprelu"
    return Dictionary(
        encoder=encoder * lengths[:, None],
        bias=bias * lengths,
        decoder=decoder / lengths[:, None],
        centre=centre,
        gain=torch.ones_like(lengths),
        activation=activation,
        k=k,
        threshold=None if threshold is None else (threshold.detach() * lengths / scale).clamp(min=0),
    )


def gate_threshold(gate_bias: Tensor, magnitude_bias: Tensor, log_scale: Tensor) -> Tensor:
    """The magnitude above which a gate is open: p = v + gate_bias, m = exp(log_scale) v + magnitude_bias, p > 0."""
    return magnitude_bias - log_scale.exp() * gate_bias
