"""One thread for the linear algebra of a thread: work is dealt out to threads as a whole, and never split between them.

No result then depends on how many there are. numpy's own threads would also wait for each other where all cores are
busy.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, torch and the linear algebra of numpy compute on the thread that calls them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
