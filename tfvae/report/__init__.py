"""The page of a run and the plot of a sweep: data in, text or pixels out; nothing here knows a work directory."""

from tfvae.report.curves import Curve, training_curves
from tfvae.report.page import Content, Picture, page
from tfvae.report.rate_distortion import Point, rate_distortion

__all__ = ["Content", "Curve", "Picture", "Point", "page", "rate_distortion", "training_curves"]
