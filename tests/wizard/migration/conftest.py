"""The small deployment as a fixture."""

from tests.wizard.migration.stage import stage

__all__ = ["stage"]
