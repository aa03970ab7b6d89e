"""What people mean by boundary F1: the definitions that go by that name, each under a name of its own.

======  ==================================================  ================  =========  ===========
name    boundary pixel                                      matched           over       none on
                                                                              images     one side
======  ==================================================  ================  =========  ===========
csurka  foreground beside background or the image border    d < tolerance     mean       no score
davis   differs from the pixel right, below or right below  d ≤ tolerance     mean       0
pixels  foreground beside background                        d ≤ tolerance     pooled     0
======  ==================================================  ================  =========  ===========

*Beside* is above, below, left or right; d is the Euclidean distance to the nearest boundary pixel of the other
mask. If neither side has a boundary, *davis* and *pixels* give 1, *csurka* no score (NaN), and images without a
score are left out of the mean. A tolerance given as a share of the diagonal is taken as it is by *csurka* (whose
own is 0.75 %) and *pixels*, and rounded up to whole pixels by *davis* (0.8 %).

*csurka* is Csurka et al. 2013 as MATLAB's bfscore has it. *davis* is the contour accuracy of Perazzi et al. 2016
as the DAVIS benchmark computes it. *pixels* is crispmap's own for maps cut into tiles: no boundary at the cut, and
every boundary pixel of the set has one weight.
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from crispmap.functional._checks import check_choice
from crispmap.functional.lengths import Length

Convention = Literal["csurka", "davis", "pixels"]
ScoreReduction = Literal["image", "pooled"]

SLACK = 1e-9  # by how much of itself a squared distance may be off


@dataclass(frozen=True)
class Rules:
    """What a convention says."""

    inner: bool  # foreground beside background, rather than a pixel that differs from those that follow it
    border: bool  # is a pixel at the image border boundary for being there
    strict: bool  # d < tolerance rather than d ≤ tolerance
    reduction: ScoreReduction  # the mean of the images' scores, or counts pooled over the set
    whole_pixels: bool  # is a share of the diagonal rounded up
    both_empty: float
    one_empty: float
    tolerance: Length  # where none is given

    def resolve(self, tolerance: float | str | Length | None, image_shape: tuple[int, int]) -> Length:
        """The tolerance in pixels or metres that the convention has on an image (height, width)."""
        given = self.tolerance if tolerance is None else Length.of(tolerance, "tolerance")
        on_image = given.on(image_shape)
        if given.unit == "diagonal" and self.whole_pixels:
            return Length(math.ceil(on_image.value))
        return on_image

    def matches(self, squared: Tensor, tolerance: float) -> Tensor:
        """Which squared distances are within a tolerance; equal but for rounding (0.3 m, and 3 · 0.1 m) is equal."""
        bound = tolerance**2
        return squared < bound * (1 - SLACK) if self.strict else squared <= bound * (1 + SLACK)


_RULES: dict[Convention, Rules] = {
    "csurka": Rules(True, True, True, "image", False, math.nan, math.nan, Length(0.0075, "diagonal")),
    "davis": Rules(False, False, False, "image", True, 1.0, 0.0, Length(0.008, "diagonal")),
    "pixels": Rules(True, False, False, "pooled", False, 1.0, 0.0, Length(3.0)),
}


def check_reduction(reduction: ScoreReduction) -> None:
    """Checks that it is one.

    Raises:
        SettingError: If it is not.
    """
    check_choice("reduction", reduction, ScoreReduction)


def rules_of(convention: Convention) -> Rules:
    """The rules of a convention.

    Raises:
        SettingError: If there is none of that name.
    """
    check_choice("convention", convention, Convention)
    return _RULES[convention]
