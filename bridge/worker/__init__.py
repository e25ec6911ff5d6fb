"""Work in other processes: native code may crash, hang or fill the memory, and the job goes on."""

from .limits import Limits
from .pool import IN_PROCESS, WORKER, Job, WorkFailure, WorkPool

__all__ = ["IN_PROCESS", "WORKER", "Job", "Limits", "WorkFailure", "WorkPool"]
