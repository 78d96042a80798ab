"""The architectures and the optimiser as their settings' defaults build them."""

from sparse_coding.core.architectures import build
from sparse_coding.core.training import optimisers
from sparse_coding.settings.params import Dictionaries

BY_NAME = {name: build(name, {}) for name in ("tied", "untied", "topk")}
JUMPRELU = Dictionaries().jumprelu
KEEPING = {name: Dictionaries().of(name).model_dump(mode="json") for name in ("topk_aux", "batchtopk", "matryoshka")}
ALL = BY_NAME | {"jumprelu": build("jumprelu", JUMPRELU.model_dump())}
ALL |= {"gated": build("gated", {})}
ALL |= {name: build(name, own) for name, own in KEEPING.items()}
D_IN, D_OUT = 32, 24  # of tests.planted.plant_step
PAIRS = {name: Dictionaries().of(name).model_dump(mode="json") for name in ("transcoder", "skip_transcoder")}
ALL |= {name: build(name, own, D_IN) for name, own in PAIRS.items()}
ADAM = optimisers.build("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8})
