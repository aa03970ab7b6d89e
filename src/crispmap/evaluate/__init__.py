"""Predictions on disk compared with the truth on disk."""

from crispmap.evaluate.evaluation import Evaluation, ImageScores, Scores, evaluate

__all__ = ["Evaluation", "ImageScores", "Scores", "evaluate"]
