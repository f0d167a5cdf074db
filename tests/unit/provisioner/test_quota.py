"""What Azure's lists say before a pool is asked for."""

import pytest

from kaito_operator.provisioner.quota import Size, Usage, refusal
from kaito_operator.provisioner.requirements import LaunchPlan

FAMILY = "standardncadsa100v4family"
SIZES = {
    "standard_nc24ads_a100_v4": Size("Standard_NC24ads_A100_v4", FAMILY, 24),
    "standard_old": Size("Standard_Old", "old", 6, refused="NotAvailableForSubscription"),
    "standard_zonal": Size("Standard_Zonal", "zonal", 8, closed_zones=frozenset({"1", "2"})),
}


@pytest.mark.parametrize(
    ("plan", "usages", "reason"),
    [
        (LaunchPlan("Standard_NC24ads_A100_v4"), {FAMILY: Usage(0, 24)}, None),
        (LaunchPlan("Standard_NC24ads_A100_v4"), {FAMILY: Usage(1, 24)}, "AzureQuotaExceeded"),
        (LaunchPlan("Standard_NC24ads_A100_v4"), {}, None),
        (LaunchPlan("Standard_NC24ads_A100_v4", spot=True), {FAMILY: Usage(24, 24)}, None),
        (
            LaunchPlan("Standard_NC24ads_A100_v4", spot=True),
            {"lowprioritycores": Usage(0, 3)},
            "AzureQuotaExceeded",
        ),
        (LaunchPlan("Standard_Old"), {}, "AzureSkuNotAvailable"),
        (LaunchPlan("Standard_Zonal", zones=("1",)), {}, "AzureSkuNotAvailable"),
        (LaunchPlan("Standard_Zonal", zones=("1", "3")), {}, None),
        (LaunchPlan("Standard_Zonal"), {}, None),
        (LaunchPlan("Standard_Unheard_Of"), {}, None),
    ],
)
def test_only_a_plain_no_is_a_no(plan: LaunchPlan, usages: dict[str, Usage], reason: str | None) -> None:
    found = refusal(plan, SIZES, usages)
    assert (found.reason if found else None) == reason


def test_a_missing_quota_is_told_in_numbers() -> None:
    found = refusal(LaunchPlan("Standard_NC24ads_A100_v4"), SIZES, {FAMILY: Usage(20, 24)})
    assert found is not None
    assert found.detail == f"needs 24 vCPU of {FAMILY}, 4 of 24 left; ask for more"
