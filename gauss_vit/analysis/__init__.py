"""Measurements of trained models: functions of arrays and callables in, frozen results out.

A receptive field is measured on any function from images to a feature map, whatever library made it.
"""

from gauss_vit.analysis.attention import entropy, mean_distance, places_on_grid, rollout
from gauss_vit.analysis.bootstrap import ErfBands, confidence_bands
from gauss_vit.analysis.comparison import FieldDifference, MeasuredField, difference
from gauss_vit.analysis.embedding import EmbeddingAnalysis, analyse_embedding
from gauss_vit.analysis.erf import ErfBatch, ErfMap, ErfSum, accumulate, batch_of, feature_grid, receptive_field
from gauss_vit.analysis.gaussian_fit import FitBounds, GaussianFit, fit_position_rows, fit_receptive_fields
from gauss_vit.analysis.layout import on_grid
from gauss_vit.analysis.metrics import ErfMetrics, erf_metrics
from gauss_vit.analysis.paired import Estimate, estimate, image_band, times_right
from gauss_vit.analysis.position import PositionAnalysis, analyse_position
from gauss_vit.analysis.protocol import (
    BMVC2023,
    LUO2016,
    PRE_NORM,
    RANDOM_PROJECTION,
    REPLKNET,
    ErfProtocol,
    protocol_named,
)
from gauss_vit.analysis.summary import ErfSummary, summarize
from gauss_vit.analysis.token import Token, center_token, lower_center_token

__all__ = [
    "BMVC2023",
    "LUO2016",
    "PRE_NORM",
    "RANDOM_PROJECTION",
    "REPLKNET",
    "EmbeddingAnalysis",
    "ErfBands",
    "ErfBatch",
    "ErfMap",
    "ErfMetrics",
    "ErfProtocol",
    "ErfSum",
    "ErfSummary",
    "Estimate",
    "FieldDifference",
    "FitBounds",
    "GaussianFit",
    "MeasuredField",
    "PositionAnalysis",
    "Token",
    "accumulate",
    "analyse_embedding",
    "analyse_position",
    "batch_of",
    "center_token",
    "confidence_bands",
    "difference",
    "entropy",
    "erf_metrics",
    "estimate",
    "feature_grid",
    "fit_position_rows",
    "fit_receptive_fields",
    "image_band",
    "lower_center_token",
    "mean_distance",
    "on_grid",
    "places_on_grid",
    "protocol_named",
    "receptive_field",
    "rollout",
    "summarize",
    "times_right",
]
