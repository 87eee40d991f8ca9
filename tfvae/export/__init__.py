"""SavedModels that run with TensorFlow alone: signatures, version folders and a model card."""

from tfvae.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]
