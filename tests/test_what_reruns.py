"""The page docs/what-reruns.md says what happens."""

import pytest

from tests.what_reruns import page, results
from tests.workspace import ROOT

pytestmark = pytest.mark.gate


def test_the_page_is_what_the_edits_do():
    assert (ROOT / "docs" / "what-reruns.md").read_text(encoding="utf-8") == page(results())
