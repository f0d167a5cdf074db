"""The pages on the operator's words and metrics are complete."""

from kaito_operator.api.reasons import REASONS
from kaito_operator.shell.metrics import Metrics
from tests.unit.documentation.pages import first_cells, section, text


def test_every_reason_has_its_section_with_a_cure() -> None:
    page = text("docs/troubleshooting.md")
    for code in REASONS:
        assert "**What to do:**" in section(page, code)


def test_every_metric_of_the_operator_has_its_row() -> None:
    families = Metrics().registry.collect()
    names = [f"{f.name}_total" if f.type == "counter" else f.name for f in families]
    assert sorted(first_cells(text("docs/metrics.md"))) == sorted(names)
