"""Batches on their way to training."""

import pytest
import torch

from sparse_coding.core.training import feed

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_what_is_stored_in_any_format_is_normalised_in_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    stored = [(100 + torch.randn(5, 3, generator=generator)).to(dtype) for _ in range(4)]
    mean, scale = torch.tensor([99.0, 100.0, 101.0]), 3.7
    wanted = [((rows.double() - mean) / scale).float() for rows in stored]
    on_the_processor = [feed.normalised(rows.clone(), mean, scale) for rows in stored]
    there = list(feed.ahead(map(feed.pinned, iter([rows.clone() for rows in stored])), mean, scale, DEVICE))
    for found in (on_the_processor, there):
        assert [batch.dtype for batch in found] == [torch.float32] * 4
        torch.testing.assert_close([batch.cpu() for batch in found], wanted, rtol=1e-6, atol=1e-6)
    assert all(batch.device.type == DEVICE.type for batch in there)


def test_no_batch_gives_none_and_no_more_than_one_is_drawn_ahead():
    assert list(feed.ahead(iter([]), torch.zeros(2), 1.0, DEVICE)) == []
    drawn = []
    rows = (drawn.append(number) or torch.full((1, 2), float(number)) for number in range(9))
    batches = feed.ahead(rows, torch.zeros(2), 1.0, DEVICE)
    assert [float(next(batches)[0, 0]) for _ in range(3)] == [0, 1, 2]
    assert len(drawn) == (4 if DEVICE.type == "cuda" else 3)
