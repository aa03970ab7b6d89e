"""What the outputs of a prediction say of where they come from; nothing that would differ if they were made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crispmap import __version__
from crispmap.models import ModelSpec, SegmentationModel, fingerprint
from crispmap.predict.plan import Settings
from crispmap.run import MODEL_ITEM_FILE


@dataclass(frozen=True)
class Origin:
    """The model and settings behind some outputs.

    Attributes:
        spec: Of the model.
        tags: For the maps.
        item: The STAC item of the model, where its run has one.
    """

    spec: ModelSpec
    tags: Mapping[str, str]
    item: Path | None

    @classmethod
    def of(cls, model: SegmentationModel, settings: Settings, run: str | None) -> "Origin":
        """The origin of what a model predicts; `run` is where it came from, as the outputs call it."""
        tags = {
            **({"CRISPMAP_RUN": run} if run else {}),
            "CRISPMAP_MODEL": fingerprint(model),
            "CRISPMAP_THRESHOLD": f"{settings.threshold:g}",
            "CRISPMAP_VERSION": __version__,
        }
        return cls(model.spec, tags, _item(Path(run)) if run else None)


def _item(run: Path) -> Path | None:
    item = (run if run.is_dir() else run.parent).absolute() / MODEL_ITEM_FILE
    return item if item.exists() else None
