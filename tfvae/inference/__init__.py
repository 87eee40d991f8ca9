"""What a trained model is for: generate, steer, complete, represent, judge.

All of it works on a `Model`, the signatures of a run (`Model.of`) or of an export that stands alone (`Model.load`), and
mostly gives a `Sheet`, items that become a picture, a film or arrays.
"""

from tfvae.inference.generation import AggregatePosterior, samples
from tfvae.inference.inputs import Examples, open_input
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

__all__ = ["AggregatePosterior", "Examples", "Model", "Sheet", "open_input", "samples"]
