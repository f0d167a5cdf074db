"""Amounts as text: what Kubernetes means by it, and no surprise in rounding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaito_operator.api.quantities import (
    GIB,
    MIB,
    QuantityError,
    format_bytes,
    format_cpu,
    format_gib,
    format_memory_request,
    parse_bytes,
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("400", 400),
        ("16Gi", 16 * GIB),
        ("16G", 16_000_000_000),
        ("1.5Gi", 3 * GIB // 2),
        (".5Mi", MIB // 2),
        ("5.", 5),
        ("+1Ki", 1024),
        ("1k", 1000),
        ("2Ei", 2 * 1024**6),
        ("1e9", 1_000_000_000),
        ("12E-1", 2),
        ("1E", 10**18),
        ("100m", 1),
        ("1500m", 2),
        ("1n", 1),
    ],
)
def test_a_quantity_is_the_number_of_bytes_that_kubernetes_means(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "Gi", "16 Gi", "16GiB", "16gi", "-1Gi", "1e", "1e999", "0x10", "\u0661Gi", "1Gi\n", ".", "9" * 99],
)
def test_what_is_no_amount_is_refused_with_an_example_of_one(text: str) -> None:
    with pytest.raises(QuantityError, match="write a number and a unit, such as 512Mi"):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**62))
def test_writing_bytes_loses_nothing(amount: int) -> None:
    assert parse_bytes(format_bytes(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (1023, "1023"), (1024, "1Ki"), (1536 * MIB, "1536Mi"), (16 * GIB, "16Gi")]
)
def test_bytes_are_written_with_the_largest_unit_that_is_exact(amount: int, text: str) -> None:
    assert format_bytes(amount) == text


@given(st.integers(min_value=0, max_value=2**62))
def test_a_request_is_never_below_the_need_and_less_than_a_mebibyte_above(amount: int) -> None:
    asked_for = parse_bytes(format_memory_request(amount))
    assert 0 <= asked_for - amount < MIB


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (1, "1Mi"), (GIB, "1Gi"), (GIB + 1, "1025Mi"), (1024 * GIB, "1Ti")]
)
def test_a_request_is_written_as_the_api_server_writes_it_back(amount: int, text: str) -> None:
    assert format_memory_request(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.0 GiB"), (1, "0.1 GiB"), (GIB, "1.0 GiB"), (13_476_831_232, "12.6 GiB")]
)
def test_a_sentence_rounds_up_to_tenths_of_a_gib(amount: int, text: str) -> None:
    assert format_gib(amount) == text


@pytest.mark.parametrize(("millicores", "text"), [(500, "500m"), (1000, "1"), (1500, "1500m"), (8000, "8")])
def test_whole_cores_are_written_without_a_unit(millicores: int, text: str) -> None:
    assert format_cpu(millicores) == text
