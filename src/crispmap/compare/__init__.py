"""Fair comparison of losses: many runs, one budget, paired differences with intervals.

Free of torch, so that ``crispmap compare --help`` is; `crispmap.compare.comparing.compare` does the work.
"""

from crispmap.compare.plan import NAMED_LOSSES, NamedLoss, Plan

__all__ = ["NAMED_LOSSES", "NamedLoss", "Plan"]
