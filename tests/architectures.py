"""The architectures as their settings' defaults build them."""

from sparse_coding.core.architectures import build
from sparse_coding.settings.params import Dictionaries

BY_NAME = {name: build(name, {}) for name in ("tied", "untied", "topk")}
JUMPRELU = Dictionaries().jumprelu
ALL = BY_NAME | {"jumprelu": build("jumprelu", JUMPRELU.model_dump())}
