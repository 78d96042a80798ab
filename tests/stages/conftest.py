"""What the tests of one stage share."""

import pytest

from tests.interp import asked, site
from tests.model_server import ModelServer
from tests.stages import world as evaluated
from tests.stages.asked_rows import NULL


@pytest.fixture(scope="module")
def planted_site(tmp_path_factory):
    return site.write(tmp_path_factory.mktemp("planted_site"))


@pytest.fixture(scope="module")
def faultless(planted_site, tmp_path_factory):
    """Rows and number of calls of a run without a fault."""
    with ModelServer() as server:
        rows = asked.run(planted_site, tmp_path_factory.mktemp("faultless"), asked.settings(server.url, null=NULL))
        return rows, len(server.asked)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return evaluated.make(tmp_path_factory.mktemp("evaluation"))
