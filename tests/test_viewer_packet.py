"""Packets: facts and parts arrive as they were sent."""

import numpy as np
from viewer_cases import unpack

from viewer.packet import pack


def test_packets_keep_facts_and_parts():
    parts = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": b"\x89PNG!", "c": np.array([0.5, -1.0])}
    facts, found = unpack(pack({"note": "µ"}, parts))
    assert facts == {"note": "µ"}
    assert [found[name].dtype for name in "abc"] == [np.uint32, np.uint8, np.float32]
    np.testing.assert_array_equal(found["a"], parts["a"])
    assert found["b"].tobytes() == b"\x89PNG!"
    np.testing.assert_array_equal(found["c"], [0.5, -1.0])
