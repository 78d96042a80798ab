"""The architectures and the optimiser as their settings' defaults build them."""

from sparse_coding.core.architectures import build
from sparse_coding.core.training import optimisers
from sparse_coding.settings.params import Dictionaries

BY_NAME = {name: build(name, {}) for name in ("tied", "untied", "topk")}
JUMPRELU = Dictionaries().jumprelu
ALL = BY_NAME | {"jumprelu": build("jumprelu", JUMPRELU.model_dump())}
ALL |= {"gated": build("gated", {})}
ADAM = optimisers.build("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8})
