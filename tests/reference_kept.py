"""The losses of kinds that keep the largest codes and remember something, written a second time, in float64.

What they remember: for how many vectors a feature was silent, and the smallest codes that were kept of batches. Of a
pair of places, x and y are side by side.
"""

import torch

from tests.architectures import D_IN, KEEPING, PAIRS

KEPT = KEEPING | PAIRS


def largest(m, k):
    """The k-th largest of each row, [row, 1]."""
    return m.kthvalue(m.shape[1] - k + 1, dim=1, keepdim=True).values


class Kept:
    """One training of a kind, by its settings in tests.architectures."""

    def __init__(self, name, n_feat):
        self.own, self.of_batch, self.of_pair = KEPT[name], "threshold_rate" in KEPT[name], name in PAIRS
        self.silent, self.smallest = [0] * n_feat, []

    def loss(self, parameters, z, penalty):
        """The loss of a batch; what it keeps is remembered."""
        decoder = torch.nn.functional.normalize(parameters["decoder"], dim=1)
        x, y = z.tensor_split([D_IN], dim=1) if self.of_pair else (z - parameters["decoder_bias"], z)
        m = torch.relu(x @ parameters["encoder"].T + parameters["bias"])
        codes = m * (m >= self.border(m.detach(), penalty.k))
        beside = parameters["decoder_bias"] + (x @ parameters["skip"] if "skip" in parameters else 0)
        loss = self.errors(codes, decoder, beside, y)
        dead = [feature for feature, vectors in enumerate(self.silent) if vectors >= self.own["dead_after"]]
        if dead:
            some, most = m[:, dead], min(y.shape[1] // 2, len(dead))
            some = some * (some >= largest(some.detach(), most))
            left = (y - codes @ decoder - beside).detach()
            loss = loss + self.own["aux_weight"] * (left - some @ decoder[dead]).square().mean()
        self.remember(codes.detach())
        return loss

    def border(self, m, k):
        """The k-th largest of each row, or the k * batch-th of all."""
        return largest(m.reshape(1, -1), k * len(m)) if self.of_batch else largest(m, k)

    def errors(self, codes, decoder, beside, y):
        """The squared error; with prefixes, the mean of theirs."""
        lengths = [round(share * len(decoder)) for share in self.own.get("prefixes", ())] + [len(decoder)]
        return sum(((codes[:, :n] @ decoder[:n] + beside - y) ** 2).mean() for n in lengths) / len(lengths)

    def remember(self, codes):
        """After a batch."""
        fired = (codes > 0).any(0).tolist()
        self.silent = [0 if fires else vectors + len(codes) for fires, vectors in zip(fired, self.silent, strict=True)]
        self.smallest.append(float(codes[codes > 0].min()))

    def threshold(self):
        """A mean of the first ones, then a running one."""
        rate, threshold = self.own["threshold_rate"], 0.0
        for count, value in enumerate(self.smallest, 1):
            threshold += max(1 / count, rate) * (value - threshold)
        return threshold
