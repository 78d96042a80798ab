"""The architectures and the optimiser as their settings' defaults build them."""

from sparse_coding.core.architectures import build
from sparse_coding.core.training import optimisers

BY_NAME = {name: build(name, {}) for name in ("tied", "untied", "topk")}
ADAM = optimisers.build("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8})
