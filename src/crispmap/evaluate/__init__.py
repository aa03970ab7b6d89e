"""Predictions on disk compared with the truth on disk."""

from crispmap.evaluate.evaluation import Evaluation, ImageScores, evaluate

__all__ = ["Evaluation", "ImageScores", "evaluate"]
