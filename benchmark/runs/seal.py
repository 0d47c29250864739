"""The seal of a result: a digest over all its fields, the digest of its predictions among them.

Scores that are moved to another arm, seed or backbone, by an edit of the JSON or by exchanging whole files,
no longer match it. It guards against accidents and quiet edits; whoever computes it anew is not stopped, and
no digest without a secret could do that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bmt.runtime.files import json_digest

SEAL = "record_sha256"
OWNER = b"bmt.cell"
"""Key in the metadata of a run's Parquet: `<profile>/<cell>`, so that predictions under another run's name
show themselves.
"""


def seal(values: Mapping[str, Any]) -> str:
    """sha256 of `values`, without the seal itself, as the JSON file gives them back (tuples as lists, keys as
    text).
    """
    return json_digest(json.loads(json.dumps({key: value for key, value in values.items() if key != SEAL})))
