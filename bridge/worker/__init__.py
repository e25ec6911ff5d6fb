"""Work in other processes: native code may crash, hang or fill the memory, and the job goes on."""

from .failure import WorkFailure
from .limits import Limits
from .pool import IN_PROCESS, WORKER, Job, WorkPool, collector_paused, is_ours, probe_place

__all__ = [
    "IN_PROCESS",
    "WORKER",
    "Job",
    "Limits",
    "WorkFailure",
    "WorkPool",
    "collector_paused",
    "is_ours",
    "probe_place",
]
