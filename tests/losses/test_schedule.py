"""The schedules of the boundary's weight."""

import copy
import pickle

import pytest
from jsonargparse import ArgumentParser
from torch import nn

from crispmap.errors import SettingError
from crispmap.losses import ConstantWeight, CosineWeight, MixedLoss, RampWeight


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [  # at 0, 0.2, 0.325, 0.45, 0.575, 0.7 and 1 of training; (1 − cos 45°)/2 = 0.146447
        (ConstantWeight(0.3), [0.3] * 7),
        (RampWeight(to=0.6, start=0.2, end=0.7), [0, 0, 0.15, 0.3, 0.45, 0.6, 0.6]),
        (CosineWeight(to=0.6, start=0.2, end=0.7), [0, 0, 0.087868, 0.3, 0.512132, 0.6, 0.6]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_by_hand(schedule, weights):
    found = [schedule(progress) for progress in (0.0, 0.2, 0.325, 0.45, 0.575, 0.7, 1.0)]
    assert found == pytest.approx(weights, abs=1e-6)


@pytest.mark.parametrize("kind", [RampWeight, CosineWeight])
def test_growing_weights_never_fall_and_grow_as_much_before_the_middle_as_after_it(kind):
    schedule = kind(to=0.9, start=0.1, end=0.5)
    weights = [schedule(i / 100) for i in range(101)]
    assert weights == sorted(weights)
    assert weights[10] == 0
    assert weights[50] == weights[100] == 0.9
    assert [weights[30 - i] + weights[30 + i] for i in range(21)] == pytest.approx([0.9] * 21)


def test_a_cosine_is_slow_at_both_ends_and_half_pi_as_fast_as_a_ramp_in_the_middle():
    cosine, ramp, step = CosineWeight(0.5, 0.3, 0.8), RampWeight(0.5, 0.3, 0.8), 1e-5

    def speed(schedule, progress):
        return (schedule(progress + step) - schedule(progress)) / step

    assert speed(cosine, 0.3) < 1e-4
    assert speed(cosine, 0.8 - step) < 1e-4
    assert speed(cosine, 0.55) / speed(ramp, 0.55) == pytest.approx(1.570796, abs=1e-4)


@pytest.mark.parametrize("schedule", [ConstantWeight(0.2), RampWeight(to=0.2), CosineWeight(to=0.2)])
def test_schedules_are_values(schedule):
    assert schedule == copy.deepcopy(schedule) == pickle.loads(pickle.dumps(schedule))
    assert RampWeight() != CosineWeight()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer releases would rather it were called instantiate
def test_can_be_written_in_yaml():
    parser = ArgumentParser()
    parser.add_argument("--loss", type=nn.Module)
    config = parser.parse_string(
        """
        loss:
          class_path: crispmap.MixedLoss
          init_args:
            weight: {class_path: crispmap.losses.CosineWeight, init_args: {to: 0.4, end: 0.6}}
        """
    )
    assert parser.instantiate_classes(config).loss.schedule == CosineWeight(to=0.4, start=0.0, end=0.6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantWeight(-0.1), "weight is -0.1; give a number from 0 to 1"),
        (lambda: ConstantWeight(float("nan")), "weight is nan"),
        (lambda: RampWeight(to=2), "weight to grow to is 2"),
        (lambda: RampWeight(start=0.8, end=0.8), "weight grows from 0.8 to 0.8 of training"),
        (lambda: RampWeight(start=-0.1), "grows from -0.1"),
        (lambda: CosineWeight(to=-1), "weight to grow to is -1"),
        (lambda: CosineWeight(end=1.1), "to 1.1 of training; give shares of it"),
        (lambda: MixedLoss(weight=1.5), "weight is 1.5"),
    ],
)
def test_settings_out_of_range_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()
