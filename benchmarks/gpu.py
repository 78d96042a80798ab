"""Training on a GPU: `python -m benchmarks.gpu`, where torch sees one; about 8 minutes.

Whole steps, with the feed: half-precision vectors in pinned memory go to the GPU, one batch ahead, and are normalised
there. How fast they are is held against two bounds: the products of a dense step, and those of a step that makes only
the encoder's product dense, each at the speed that this GPU has for a product of that shape and precision. The learning
rate is 0, which holds the L0 still and leaves the arithmetic as it is.

Writes the section `gpu` of benchmarks/results.json.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor

from benchmarks.results import machine, merge
from benchmarks.training.contract import BETAS, EPS
from benchmarks.training.problem import planted
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import feed, gpu, processor
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.trainee import Schedule, Trainee

WARM_UP = 5
SECONDS = 8.0  # of each measurement: 9 cells in 3 precisions, what is before them, and agreement, are about 8 minutes
PRECISIONS: tuple[gpu.Precision, ...] = ("float32", "tf32", "bfloat16")
KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "TopK": ("topk", {}),
    "ReLU": ("untied", {}),
    "JumpReLU": ("jumprelu", {"bandwidth": 0.05, "l0_weight": 10.0}),
}


@dataclass(frozen=True)
class Shape:
    """Members of n_feat features on vectors of d_act dimensions, in batches; l0: codes a vector."""

    d_act: int
    n_feat: int
    members: int = 1
    batch: int = 4096
    l0: float = 64.0

    @property
    def dense(self) -> int:
        """Operations of a dense step for a vector and a member: five products."""
        return 5 * 2 * self.d_act * self.n_feat

    def sparse(self, l0: float) -> float:
        """Those of a step whose codes are found by one dense product, and in which only positive ones count."""
        return 2 * self.d_act * self.n_feat + 4 * 2 * self.d_act * l0


SHAPES = (Shape(512, 4096, members=8), Shape(2304, 16_384), Shape(2304, 65_536))


def trainees(kind: str, shape: Shape) -> list[Trainee]:
    """Members with about the wished number of codes a vector from the first step on, on vectors of unit mean norm."""
    name, own = KINDS[kind]
    made, adam = build(name, own), partial(Adam, beta1=BETAS[0], beta2=BETAS[1], eps=EPS)
    penalty = Penalty(l1=1e-4, k=round(shape.l0), l0=shape.l0)
    vectors = planted(shape.d_act, 256, count=1).batches[0]
    found = []
    for seed in range(shape.members):
        found.append(Trainee(str(seed), made, (shape.n_feat, shape.d_act), penalty, seed, flat(1, 0.0), adam, 1))
        made.begin(found[-1].parameters, vectors, shape.l0 / shape.n_feat)
    return found


def flat(steps: int, lr: float) -> Schedule:
    """A constant rate."""
    return Schedule(steps, lr, warmup=0, decay=0, l1_warmup=0)


def seconds_a_step(
    members: list[Trainee], stored: list[Tensor], steps: int, precision: gpu.Precision, device: torch.device
) -> float:
    """Of all members: the mean of `steps`, after some to warm up. Only the first and the last are logged."""
    total, done, moments = steps + WARM_UP, 0, []
    for member in members:
        member.step, member.schedule, member.log_steps, member.log = 0, flat(total, 0.0), total, []

    def hear(_: int) -> None:
        nonlocal done
        done += 1
        if done in (WARM_UP, total):
            moments.append(now(device))

    batches = feed.ahead(islice(cycle(stored), total), torch.zeros(stored[0].shape[1]), 1.0, device)
    gpu.train(members, batches, device, precision, hear)
    return (moments[1] - moments[0]) / steps


def now(device: torch.device) -> float:
    """The clock, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def speed(shape: Shape, precision: gpu.Precision, device: torch.device) -> float:
    """Operations a second of the encoder's product, by the library."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left = torch.randn(shape.batch, shape.d_act, dtype=dtype, device=device)
    right = torch.randn(shape.d_act, shape.n_feat, dtype=dtype, device=device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for _ in range(WARM_UP):
            left @ right
        began, count = now(device), 0
        while count < WARM_UP or now(device) - began < 0.2:
            left @ right
            count += 1
        return 2 * shape.batch * shape.d_act * shape.n_feat * count / (now(device) - began)
    finally:
        torch.set_float32_matmul_precision(before)


def rows_of(
    kind: str, shape: Shape, precisions: tuple[gpu.Precision, ...], device: torch.device, seconds: float
) -> Iterator[dict[str, Any]]:
    """For each precision: vectors a second, shares of the bounds, and the most memory that was taken."""
    members = trainees(kind, shape)
    stored = [feed.pinned(batch.half()) for batch in planted(shape.d_act, shape.batch, count=4).batches]
    for precision in precisions:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        roughly = seconds_a_step(members, stored, WARM_UP, precision, device)
        taken = seconds_a_step(members, stored, max(round(seconds / roughly), WARM_UP), precision, device)
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        yield from _rows(kind, shape, precision, taken, members[0].log[-1]["l0"], peak, speed(shape, precision, device))


def _rows(
    kind: str, shape: Shape, precision: str, taken: float, l0: float, peak: int, product: float
) -> Iterator[dict[str, Any]]:
    rate = shape.batch * shape.members / taken
    what = f"d {shape.d_act}, {shape.n_feat} features, {kind}, {precision}"
    note = f"members: {shape.members}, batch: {shape.batch}, L0: {l0:.0f}"
    yield {"what": what, "value": rate, "unit": "vectors/s, all members", "note": note}
    for name, operations in (("dense", shape.dense), ("sparse", shape.sparse(l0))):
        share = 100 * rate * operations / product
        yield {"what": f"{what}: of the {name} bound", "value": share, "unit": "%", "note": f"{product:.3g} FLOP/s"}
    yield {"what": f"{what}: most memory", "value": peak / 2**20, "unit": "MiB"}


def agreement(kind: str, device: torch.device, shape: Shape, steps: int) -> dict[str, Any]:
    """The largest relative difference of a loss from that of the processor, on planted vectors, in float32."""
    vectors: tuple[Tensor, ...] = planted(shape.d_act, shape.batch).batches
    both = []
    for there in (False, True):
        members = trainees(kind, shape)
        for member in members:
            member.schedule = flat(steps, 1e-3)
        drawn = islice(cycle(vectors), steps)
        if there:
            gpu.train(members, feed.ahead(drawn, torch.zeros(shape.d_act), 1.0, device), device)
        else:
            processor.train(members, drawn, threads=torch.get_num_threads())
        both.append([line["loss"] for member in members for line in member.log])
    off = max(abs(own / other - 1) for own, other in zip(*both, strict=True))
    return {"what": f"{kind}: loss, off the processor's", "value": off, "unit": "", "note": f"{steps} steps"}


def main() -> None:
    """Measure, and write."""
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here: nothing was measured")
    device, rows = torch.device("cuda", torch.cuda.current_device()), []
    for shape in SHAPES:
        for kind in KINDS:
            for row in rows_of(kind, shape, PRECISIONS, device, SECONDS):
                rows.append(row)
                print(row["what"], f"{row['value']:.4g}", row["unit"], row.get("note", ""), flush=True)
    for kind in KINDS:
        rows.append(agreement(kind, device, Shape(512, 4096, batch=1024), 60))
        print(rows[-1]["what"], f"{rows[-1]['value']:.2g}", flush=True)
    about = machine(("torch",)) | {"gpu": torch.cuda.get_device_name(device)}
    merge("gpu", {"rows": rows, "notes": [line for line in (__doc__ or "").split("\n\n")[1:2]], "machine": about})


if __name__ == "__main__":
    main()
