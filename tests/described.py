"""The operations of the API's description, for schemathesis to ask."""

from __future__ import annotations

import json

import schemathesis
from schemathesis.core.result import Ok

from stream.web.description import committed

JUDGED_BY_SCHEMA = ("positive_data_acceptance", "negative_data_rejection")

SKIPPED = ("/api/v1/stream",)
"""The stream has no end; test_live_api.py reads it."""

SCHEMA = schemathesis.openapi.from_dict(json.loads(committed().read_text(encoding="utf-8")))
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok))
    if operation.path not in SKIPPED
}
