"""The small deployments as fixtures."""

from tests.wizard.migration.few import workflow
from tests.wizard.migration.stage import stage

__all__ = ["stage", "workflow"]
