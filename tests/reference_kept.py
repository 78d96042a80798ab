"""The losses of kinds that keep the largest codes and remember something, written a second time, in float64.

What they remember: for how many vectors a feature was silent, and the smallest codes that were kept of batches.
"""

import torch

from tests.architectures import KEEPING


def largest(m, k):
    """The k-th largest of each row, [row, 1]."""
    return m.kthvalue(m.shape[1] - k + 1, dim=1, keepdim=True).values


class Kept:
    """One training of a kind, by its settings in tests.architectures."""

    def __init__(self, name, n_feat):
        self.own, self.of_batch = KEEPING[name], name != "topk_aux"
        self.silent, self.smallest = [0] * n_feat, []

    def loss(self, parameters, z, penalty):
        """The loss of a batch; what it keeps is remembered."""
        decoder = torch.nn.functional.normalize(parameters["decoder"], dim=1)
        m = torch.relu((z - parameters["decoder_bias"]) @ parameters["encoder"].T + parameters["bias"])
        codes = m * (m >= self.border(m.detach(), penalty.k))
        whole = codes @ decoder + parameters["decoder_bias"]
        loss = self.errors(codes, decoder, parameters["decoder_bias"], z)
        dead = [feature for feature, vectors in enumerate(self.silent) if vectors >= self.own["dead_after"]]
        if dead:
            some, most = m[:, dead], min(z.shape[1] // 2, len(dead))
            some = some * (some >= largest(some.detach(), most))
            loss = loss + self.own["aux_weight"] * ((z - whole).detach() - some @ decoder[dead]).square().mean()
        self.remember(codes.detach())
        return loss

    def border(self, m, k):
        """The k-th largest of each row, or the k * batch-th of all."""
        return largest(m.reshape(1, -1), k * len(m)) if self.of_batch else largest(m, k)

    def errors(self, codes, decoder, centre, z):
        """The squared error; with prefixes, the mean of theirs."""
        lengths = [round(share * len(decoder)) for share in self.own.get("prefixes", ())] + [len(decoder)]
        return sum(((codes[:, :n] @ decoder[:n] + centre - z) ** 2).mean() for n in lengths) / len(lengths)

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
