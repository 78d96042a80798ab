"""The architectures as their settings' defaults build them."""

from sparse_coding.core.architectures import build

BY_NAME = {name: build(name, {}) for name in ("tied", "untied", "topk")}
