"""Synthetic aerial scenes with exact masks and footprints: the data crispmap brings along."""

from crispmap.data.synthetic.dataset import write_scenes
from crispmap.data.synthetic.label_offset import building_offset, displace_labels
from crispmap.data.synthetic.scene import Footprint, Scene, render_scene

__all__ = ["Footprint", "Scene", "building_offset", "displace_labels", "render_scene", "write_scenes"]
