"""What may be a table, and what is counted on the way: without a server."""

import pytest

from sparse_coding.errors import Unanswered
from sparse_coding.interp.judge.publishing import publishable
from sparse_coding.interp.judge.running import Outcome, Task
from sparse_coding.interp.scores import FeatureScore


@pytest.mark.parametrize(("failed", "most"), [(29, 0.29), (7, 0.07), (57, 0.57), (0, 0.0)])
def test_exactly_the_share_that_may_fail(failed, most):
    """0.29 * 100 is a little less than 29."""
    tasks = [Task("tied", "plain", number) for number in range(100)]
    scores = {
        number: {"sampled": FeatureScore(number, "failed" if number < failed else "ok", 1)} for number in range(100)
    }
    assert publishable([tasks], tasks, Outcome(scores, None, {}), False, most) == [tasks]
    one_more = scores | {99: {"sampled": FeatureScore(99, "failed", 1)}}
    with pytest.raises(Unanswered, match=f"{failed + 1} of 100 features"):
        publishable([tasks], tasks, Outcome(one_more, None, {}), False, most)
