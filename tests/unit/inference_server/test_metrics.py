"""v0.3.0's JSON of GPUs, and when it is asked for."""

import pytest

from inference_server.engine import Gpu
from inference_server.metrics import Metrics, wants_json

GIB = 1024**3


def test_a_gpu_is_written_as_in_v0_3_0_with_its_real_memory() -> None:
    gpu = Gpu("GPU-1", "H100", 0.25, 55.0, 10 * GIB, 80 * GIB)
    assert Metrics.gpu_entries([gpu]) == [
        {
            "id": "GPU-1",
            "name": "H100",
            "load": "25.00%",
            "temperature": "55 C",
            "memory": {"used": "10.00 GB", "total": "80.00 GB"},
        }
    ]


def test_what_nobody_could_read_is_null() -> None:
    (entry,) = Metrics.gpu_entries([Gpu("GPU-1", "H100", None, None, 0, GIB)])
    assert entry["load"] is None
    assert entry["temperature"] is None


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("application/json", True),
        ("application/json;q=0.9, */*", True),
        ("*/*", False),
        ("", False),
        ("text/plain, application/json", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
    ],
)
def test_json_is_for_clients_that_ask_for_it(accept: str, json: bool) -> None:
    assert wants_json(accept) is json
