"""The table of instance types: as complete as its references, sourced, dated; and what the loader refuses."""

import re
from importlib import resources
from typing import Any

import pytest
import yaml

from presets.catalog import CatalogError, load_catalog, parse_catalog
from presets.instance_types import RESOURCE, InstanceType

CATALOG = load_catalog()
TYPES = CATALOG.instance_types
TEXT = resources.files("presets").joinpath(RESOURCE).read_text(encoding="utf-8")
MODELS = resources.files("presets").joinpath("models.yaml").read_text(encoding="utf-8")

# name: GPUs / GB of all GPUs together, without the prefix Standard_
V0_3_0 = (
    "NC6 1/12; NC12 2/24; NC24 4/48; NC24r 4/48; NV6 1/8; NV12 2/16; NV24 4/32; NV12s_v3 1/8; NV24s_v3 2/16; "
    "NV48s_v3 4/32; ND6s 1/24; ND12s 2/48; ND24s 4/96; ND24rs 4/96; NC6s_v2 1/16; NC12s_v2 2/32; "
    "NC24s_v2 4/64; NC24rs_v2 4/64; NC6s_v3 1/16; NC12s_v3 2/32; NC24s_v3 4/64; NC24rs_v3 4/64; "
    "ND40rs_v2 8/256; NC4as_T4_v3 1/16; NC8as_T4_v3 1/16; NC16as_T4_v3 1/16; NC64as_T4_v3 4/64; "
    "ND96asr_v4 8/320; ND96amsr_A100_v4 8/640; NC24ads_A100_v4 1/80; NC48ads_A100_v4 2/160; "
    "NC96ads_A100_v4 4/320; NV6ads_A10_v5 1/4; NV12ads_A10_v5 1/8; NV18ads_A10_v5 1/12; NV36ads_A10_v5 1/24; "
    "NV36adms_A10_v5 1/24; NV72ads_A10_v5 2/48"
)
V0_12_AZURE = (
    "NV36ads_A10_v5 1/24; NV72ads_A10_v5 2/48; NC24ads_A100_v4 1/80; NC48ads_A100_v4 2/160; "
    "NC96ads_A100_v4 4/320; ND96asr_A100_v4 8/320; ND96amsr_A100_v4 8/640; NC40ads_H100_v5 1/94; "
    "NC80adis_H100_v5 2/188; ND96isr_H100_v5 8/640; NCC40ads_H100_v5 1/94; ND96isr_H200_v5 8/1128; "
    "NG32ads_V620_v1 1/32; NG32adms_V620_v1 1/32"
)
V0_12_ARC = (
    "NC4_A2 1/16; NC8_A2 1/16; NC16_A2 2/32; NC32_A2 2/32; NC4_A16 1/16; NC8_A16 1/16; NC16_A16 2/32; "
    "NC32_A16 2/32"
)
V0_12_AWS = (
    "p4d.24xlarge 8/320; p4de.24xlarge 8/640; p5.48xlarge 8/640; p5e.48xlarge 8/1128; p5en.48xlarge 8/1128; "
    "g6.xlarge 1/24; g6.2xlarge 1/24; g6.4xlarge 1/24; g6.8xlarge 1/24; g6.16xlarge 1/24; gr6.4xlarge 1/24; "
    "gr6.8xlarge 1/24; g6.12xlarge 4/96; g6.24xlarge 4/96; g6.48xlarge 8/192; g5.xlarge 1/24; "
    "g5.2xlarge 1/24; g5.4xlarge 1/24; g5.8xlarge 1/24; g5.16xlarge 1/24; g5.12xlarge 4/96; "
    "g5.24xlarge 4/96; g5.48xlarge 8/192; g4ad.xlarge 1/8; g4ad.2xlarge 1/8; "
    "g4ad.4xlarge 1/8; g4ad.8xlarge 2/16; g4ad.16xlarge 4/32; trn1.2xlarge 1/32; trn1.32xlarge 16/512; "
    "trn1n.32xlarge 16/512; inf2.xlarge 1/32; inf2.8xlarge 1/32; inf2.24xlarge 6/192; inf2.48xlarge 12/384"
)
V0_3_0_UNUSED_AWS = (
    "p2.xlarge 1/12; p2.8xlarge 8/96; p2.16xlarge 16/192; p3.2xlarge 1/16; p3.8xlarge 4/64; "
    "p3.16xlarge 8/128; p3dn.24xlarge 8/256; g4dn.xlarge 1/16; g4dn.2xlarge 1/16; g4dn.4xlarge 1/16; "
    "g4dn.8xlarge 1/16; g4dn.16xlarge 1/16; g4dn.12xlarge 4/64; g4dn.metal 8/128; g5g.xlarge 1/16; "
    "g5g.2xlarge 1/16; g5g.4xlarge 1/16; g5g.8xlarge 1/16; g5g.16xlarge 2/32; g5g.metal 2/32; "
    "g3s.xlarge 1/8; g3.4xlarge 1/8; g3.8xlarge 2/16; g3.16xlarge 4/32"
)


def reference(text: str, prefix: str = "") -> list[tuple[str, int, int]]:
    rows = (re.fullmatch(r"(\S+) (\d+)/(\d+)", row.strip()) for row in text.split(";"))
    return [(prefix + row[1], int(row[2]), int(row[3])) for row in rows if row]


REFERENCES = [
    ("kaito v0.3.0", "azure", 38, reference(V0_3_0, "Standard_")),
    ("kaito v0.12", "azure", 14, reference(V0_12_AZURE, "Standard_")),
    ("kaito v0.12", "arc", 8, reference(V0_12_ARC, "Standard_")),
    ("kaito v0.12", "aws", 35, reference(V0_12_AWS)),
    ("kaito v0.3.0 unused", "aws", 24, reference(V0_3_0_UNUSED_AWS)),
]


def a_row(**changes: object) -> dict[str, Any]:
    """A row that is right but for the changes; None removes a key."""
    right = {
        "name": "Standard_X1",
        "provider": "azure",
        "vcpus": 4,
        "accelerators": {"model": "T4", "count": 1, "memory_gib": 16, "compute_capability": "7.5"},
        "price": {"usd_per_hour": 0.526, "region": "eastus", "date": "2026-06-18"},
        "sources": ["docs"],
    }
    return {key: value for key, value in {**right, **changes}.items() if value is not None}


def parsed(*rows: dict[str, Any]) -> None:
    parse_catalog(MODELS, yaml.safe_dump({"instance_types": list(rows)}))


def gpu_memory(row: InstanceType) -> float:
    return float(row.accelerators.count * row.accelerators.memory_gib) if row.accelerators else 0


@pytest.mark.parametrize(("source", "provider", "count", "rows"), REFERENCES)
def test_every_row_of_the_reference_is_there_with_its_gpus_and_memory(
    source: str, provider: str, count: int, rows: list[tuple[str, int, int]]
) -> None:
    assert len(rows) == count
    for name, gpus, memory in rows:
        row = TYPES[name]
        assert row.accelerators is not None
        assert (row.name, row.provider) == (name, provider)
        assert (row.accelerators.count, gpu_memory(row)) == (gpus, memory)
        assert source in row.sources


def test_every_accelerator_is_in_a_reference() -> None:
    named = {name for *_, rows in REFERENCES for name, _, _ in rows}
    assert {row.name for row in TYPES.values() if row.accelerators} == named


def test_every_source_is_explained_at_the_top() -> None:
    head = TEXT.partition("instance_types:\n")[0]
    explained = set(re.findall(r"^#   (\S+(?: \S+)*)", head, re.MULTILINE))
    assert {source for row in TYPES.values() for source in row.sources} <= explained


def test_a_fact_comes_with_its_source() -> None:
    for row in TYPES.values():
        sources = set(row.sources)
        size = row.vcpus or row.memory_gib or row.local_disk_gib
        assert (row.price is not None) == ("prices" in sources), row.name
        assert (row.retired is not None) == ("retirements" in sources), row.name
        assert not size or sources & {"autoscaler", "docs", "karpenter aws"}, row.name
        assert not row.family or sources & {"autoscaler", "families"}, row.name


def test_an_nvidia_gpu_has_a_compute_capability_and_another_none() -> None:
    for row in TYPES.values():
        capability = row.accelerators.compute_capability if row.accelerators else None
        assert (capability is not None) == (row.gpus > 0) == ("nvidia" in row.sources), row.name
        assert row.gpus in (0, row.accelerators.count if row.accelerators else 0), row.name


def test_one_gpu_model_has_one_compute_capability() -> None:
    by_model: dict[str, set[str | None]] = {}
    for row in TYPES.values():
        if row.accelerators:
            by_model.setdefault(row.accelerators.model, set()).add(row.accelerators.compute_capability)
    assert {model: found for model, found in by_model.items() if len(found) > 1} == {}


def test_only_azure_has_prices_and_all_are_of_one_day_in_one_country() -> None:
    priced = [row for row in TYPES.values() if row.price]
    assert {row.provider for row in priced} == {"azure"}
    assert {str(row.price.date) for row in priced if row.price} == {"2026-06-18"}
    assert {row.price.region for row in priced if row.price} == {"eastus", "eastus2"}


def test_what_azure_offers_has_a_price_but_for_one_type_of_amd() -> None:
    unpriced = {r.name for r in TYPES.values() if r.provider == "azure" and r.offered and r.price is None}
    assert unpriced == {"Standard_NG32adms_V620_v1"}


def test_what_azure_offers_has_its_vcpus_memory_disk_and_quota() -> None:
    for row in TYPES.values():
        if row.provider == "azure" and row.offered:
            facts = (row.vcpus, row.memory_gib, row.local_disk_gib, row.family)
            assert None not in facts, row.name


def test_the_retired_families_have_their_dates() -> None:
    dates = {str(row.retired): set[str]() for row in TYPES.values() if row.retired}
    for row in TYPES.values():
        if row.retired and row.accelerators:
            dates[str(row.retired)].add(row.accelerators.model)
    assert dates == {
        "2023-08-31": {"P100"},
        "2023-09-06": {"K80", "P40", "M60"},
        "2025-09-30": {"V100"},
        "2026-09-30": {"M60"},
    }


def test_the_successor_of_a_retired_type_is_the_cheapest_that_holds_as_much() -> None:
    retired = [row for row in TYPES.values() if row.retired]
    sold = [(row.price.usd_per_hour, row) for row in TYPES.values() if row.offered and row.price and row.gpus]
    for row in retired:
        holds = [(price, other.name) for price, other in sold if gpu_memory(other) >= gpu_memory(row)]
        assert row.successor == min(holds)[1], row.name


def test_a_name_that_azure_does_not_list_is_not_offered_but_leads_to_the_right_one() -> None:
    row = TYPES["Standard_ND96asr_A100_v4"]
    assert not row.offered
    assert row.retired is None
    assert row.successor == "Standard_ND96asr_v4"


def test_a_share_of_a_gpu_counts_as_one_gpu_with_its_memory() -> None:
    shares = [TYPES[f"Standard_NV{n}ads_A10_v5"] for n in (6, 12, 18, 36)]
    assert [(row.gpus, gpu_memory(row)) for row in shares] == [(1, 4), (1, 8), (1, 12), (1, 24)]


def test_there_are_types_for_a_model_that_runs_on_a_cpu() -> None:
    cpu = [row for row in TYPES.values() if row.accelerators is None]
    assert len(cpu) == 16
    assert all(row.offered and row.price and row.vcpus and row.memory_gib for row in cpu)


def test_a_type_is_found_in_any_case() -> None:
    assert TYPES["standard_nc24ADS_a100_v4"].name == "Standard_NC24ads_A100_v4"
    assert TYPES.get("Standard_NC999") is None


def test_the_nearest_names_are_written_as_azure_writes_them() -> None:
    assert TYPES.nearest("standard_nc24ads_a100")[0] == "Standard_NC24ads_A100_v4"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provider": "gcp"}, "provider: Input should be 'azure', 'aws' or 'arc'"),
        ({"name": "Standard X1"}, "name: String should match pattern"),
        ({"vcpus": 0}, "vcpus: Input should be greater than 0"),
        ({"vcpu": 4}, "vcpu: Extra inputs are not permitted"),
        ({"price": {"usd_per_hour": 1, "region": "eastus"}}, "price.date: Field required"),
        ({"price": {"usd_per_hour": 1, "date": "2026-06-18"}}, "price.region: Field required"),
        ({"price": {"usd_per_hour": 0, "region": "e", "date": "2026-06-18"}}, "should be greater than 0"),
        ({"accelerators": {"model": "T4", "count": 0, "memory_gib": 16}}, "accelerators.count"),
        ({"accelerators": {"model": "T4", "count": 1}}, "accelerators.memory_gib: Field required"),
        ({"retired": "last year"}, "retired: Input should be a valid date"),
        ({"successor": "Standard_X2"}, "successor of Standard_X1, Standard_X2, is no row"),
        ({"successor": "Standard_X1"}, "successor of Standard_X1, Standard_X1, is itself retired"),
        ({"sources": []}, "sources: Tuple should have at least 1 item"),
        ({"sources": None}, "sources: Field required"),
    ],
)
def test_a_wrong_row_is_refused_by_its_name_and_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        parsed(a_row(**changes))


def test_two_rows_of_one_name_are_refused_in_any_case() -> None:
    with pytest.raises(CatalogError, match="more than one row is named standard_x1"):
        parsed(a_row(), a_row(name="standard_X1"))
