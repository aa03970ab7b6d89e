"""The paper's experiment: a comparison for each of its data sets, its settings in one YAML file beside this one."""

from crispmap.reproduce.recipe import RECIPES, plans, recipe_text

__all__ = ["RECIPES", "plans", "recipe_text"]
