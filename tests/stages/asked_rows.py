"""What tests of the stage with language models ask about, and how they look at its rows."""

import sqlite3

from sparse_coding.interp.fragments import choose_features
from tests.interp.asked import SEED
from tests.interp.site import DESCRIBED, N_FEAT

LEARNED, RANDOM = DESCRIBED[:2], DESCRIBED[2]
NULL = LEARNED[0].name
FEATURES = 4
ALIVE = [feature for feature in choose_features(N_FEAT, FEATURES, SEED) if feature % 3 != 2]


def of(rows, name, source, condition="plain"):
    return [row for row in rows if (row["name"], row["source"], row["condition"]) == (name, source, condition)]


def unlike(rows, *columns):
    """Rows without what hangs on the server's address."""
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def spent(work):
    with sqlite3.connect(work / "ledger.sqlite") as file:
        return file.execute("select count(*), sum(prompt + completion), sum(cost) from calls").fetchone()
