"""A message of each kind, as it stands in the contract."""

from __future__ import annotations

import json

POSITION = (  # as it stands in the contract
    b'{"device_id": "2345678", "time": "2026-11-23T08:15:03.250Z", "lon": -1.1398, "lat": 52.6369,\n'
    b' "error_m": 8.0, "speed_mps": 1.3, "heading_deg": 270, "received": "2026-11-23T08:15:04.100Z",'
    b' "reason": "max interval"}'
)
DUTY = (
    b'{"duty_id": "D-1001-20261123", "revision": 1, "officer_id": "1001", "name": "PC 1001", "role": "npt",'
    b' "team": "NC04",\n "patch": ["E05001784"], "start": "2026-11-23T07:00:00Z",'
    b' "end": "2026-11-23T17:00:00Z", "cancelled": false,\n'
    b' "devices": [{"device_id": "2345678", "kind": "radio"},\n'
    b'             {"device_id": "FX12ABC", "kind": "vehicle", "start": "2026-11-23T09:00:00Z",'
    b' "end": "2026-11-23T12:00:00Z"}]}'
)
STATE = b'{"officer_id": "1001", "time": "2026-11-23T12:00:00Z", "state": 4}'
TRACCAR = json.dumps(
    {
        "position": {
            "id": 8, "deviceId": 3, "protocol": "osmand", "valid": True, "outdated": False,
            "serverTime": "2026-11-23T08:15:05.000+00:00", "deviceTime": "2026-11-23T08:15:03.000+00:00",
            "fixTime": "2026-11-23T08:15:03.000+00:00", "latitude": 52.6369, "longitude": -1.1398,
            "altitude": 61.0, "speed": 10.0, "course": 90.0, "accuracy": 0.0, "address": None,
            "attributes": {"ignition": True},
        },
        "device": {"id": 3, "name": "Van 3", "uniqueId": "FX12ABC", "status": "online"},
    }
).encode()  # fmt: skip
