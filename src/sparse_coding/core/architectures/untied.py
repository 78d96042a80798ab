"""Separate encoder and decoder, unit-norm decoder rows, a learned centre (Bricken et al. 2023).

c = relu((z - b_dec) E^T + b)        z_hat = c D + b_dec        ||d_i|| = 1
loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Gradients, Parameters, Penalty, renormalise, tangent, unit_rows
from sparse_coding.core.dictionary import Dictionary


def init(n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
    """Random unit decoder rows, the encoder equal to them, zero biases."""
    decoder = unit_rows(n_feat, d_act, generator)
    return {
        "encoder": decoder.clone(),
        "bias": torch.zeros(n_feat),
        "decoder": decoder,
        "decoder_bias": torch.zeros(d_act),
    }


def gradients(parameters: Parameters, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Gradients:
    """See the module's loss."""
    return through_codes(parameters, z, torch.Tensor.relu_, penalty.l1)


def through_codes(
    parameters: Parameters, z: Float[Tensor, "batch d_act"], activation: Callable[[Tensor], Tensor], l1: float
) -> Gradients:
    """The gradient for any `activation` that keeps some positive pre-activations and zeroes the others."""
    encoder, decoder = parameters["encoder"], parameters["decoder"]
    centred = z - parameters["decoder_bias"]
    codes = activation(torch.addmm(parameters["bias"], centred, encoder.T))
    residual = (codes @ decoder).sub_(centred)
    mse = residual.square().mean()
    d_z_hat = residual.mul_(2 / residual.numel())
    d_pre = torch.mm(d_z_hat, decoder.T).add_(l1 / len(z)).masked_fill_(codes == 0, 0)
    d_bias = d_pre.sum(0)
    l1_norm = codes.sum() / len(z)
    return Gradients(
        loss=mse + l1 * l1_norm,
        mse=mse,
        l1_norm=l1_norm,
        codes=codes,
        parameters={
            "encoder": torch.mm(d_pre.T, centred),
            "bias": d_bias,
            "decoder": tangent(torch.mm(codes.T, d_z_hat), decoder),
            # b_dec enters twice: added to the output, subtracted from the input.
            "decoder_bias": d_z_hat.sum(0) - d_bias @ encoder,
        },
    )


def constrain(parameters: Parameters) -> None:
    """Unit decoder rows."""
    renormalise(parameters["decoder"])


def fold(parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
    """Codes in the units of x, around the centre mean + scale * b_dec."""
    return Dictionary(
        encoder=parameters["encoder"].clone(),
        bias=parameters["bias"] * scale,
        decoder=parameters["decoder"].clone(),
        centre=mean + scale * parameters["decoder_bias"],
        gain=torch.ones(len(parameters["bias"])),
    )
