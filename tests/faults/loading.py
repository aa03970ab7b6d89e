"""What the commands load, loaded at once, so that a fork of the process that has it begins with the work."""

from importlib import import_module

from crispmap.cli import COMMANDS, import_command

_MODULES = (
    "crispmap.compare.comparing",
    "crispmap.demo",
    "crispmap.evaluate.page",
    "crispmap.functional._sums_numba",
    "crispmap.predict.cluster",
    "crispmap.vectorize.writing",
    "crispmap.weight_search.search",
    "segmentation_models_pytorch",
    "torch.utils.tensorboard",
)


def load() -> None:
    """Loads it. Torch is told to use one thread: what has more cannot be forked."""
    import torch

    torch.set_num_threads(1)
    for module in _MODULES:
        import_module(module)
    for command in COMMANDS:
        import_command(command)
