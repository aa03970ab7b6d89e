"""What others take up: models as ONNX, styles for QGIS, STAC items of models and predictions.

Folders for the Hugging Face Hub are written by `crispmap.models.SegmentationModel` itself.
"""
