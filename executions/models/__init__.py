"""What the cameras sent and what the models saw. Table and column names are a contract: others query them."""

from executions.models.execution import Execution, ExecutionQuerySet
from executions.models.queue import QueueItem, QueueItemQuerySet, QueuePhase, QueueStatus
from executions.models.registry import Camera, MonitoringNode
from executions.models.results import InferenceResult, Notification
from executions.models.words import FINAL_STATUSES, AlertPriority, ExecutionStatus, RiskLevel

__all__ = [
    "AlertPriority",
    "Camera",
    "Execution",
    "ExecutionQuerySet",
    "ExecutionStatus",
    "FINAL_STATUSES",
    "InferenceResult",
    "MonitoringNode",
    "Notification",
    "QueueItem",
    "QueueItemQuerySet",
    "QueuePhase",
    "QueueStatus",
    "RiskLevel",
]
