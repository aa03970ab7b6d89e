"""How far labels lie from what they label, building by building, and the θ of the boundary loss that follows."""

from crispmap.misregistration.buildings import Building, connected_buildings, neighbour_gaps
from crispmap.misregistration.offset import EdgeField, Offset, offset_from_edges, offset_from_overlap
from crispmap.misregistration.result import Misregistration
from crispmap.misregistration.survey import suggest_theta

__all__ = [
    "Building",
    "EdgeField",
    "Misregistration",
    "Offset",
    "connected_buildings",
    "neighbour_gaps",
    "offset_from_edges",
    "offset_from_overlap",
    "suggest_theta",
]
