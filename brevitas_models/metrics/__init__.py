"""What a trained model is worth and what it costs: one file a subject, pure functions."""

from brevitas_models.metrics.accuracy import accuracy_figures, accuracy_lines, chance_line
from brevitas_models.metrics.cost import network_bops, weight_bits
from brevitas_models.metrics.information import aiq, geometric_mean, neural_efficiency
from brevitas_models.metrics.measured import cost_figures, figure_lines, measure, score_figures
from brevitas_models.metrics.regret import calibration_figures, regret_figures, regret_lines
from brevitas_models.metrics.roc import background_efficiency, probabilities, roc_auc
from brevitas_models.metrics.targets import target_figures, target_lines

__all__ = [
    "accuracy_figures",
    "accuracy_lines",
    "aiq",
    "background_efficiency",
    "calibration_figures",
    "chance_line",
    "cost_figures",
    "figure_lines",
    "geometric_mean",
    "measure",
    "network_bops",
    "neural_efficiency",
    "probabilities",
    "regret_figures",
    "regret_lines",
    "roc_auc",
    "score_figures",
    "target_figures",
    "target_lines",
    "weight_bits",
]
