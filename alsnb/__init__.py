"""Alternating least squares, taught on MovieLens: the small package under the notebooks."""

from .als import (
    DivergenceError,
    Factorization,
    als_matrix_factorization,
    half_step,
    init_matrix_factorization,
)
from .datasets import (
    MovieLens,
    load_movielens,
    make_low_rank_ratings,
    matrix_to_ratings,
    ratings_to_matrix,
)
from .gradient import gradient_descent, objective_gradient
from .metrics import calculate_mae, calculate_objective, calculate_residuals, calculate_rmse
from .recommend import recommend_items
from .ridge import solve_row
from .sources import DatasetError
from .splits import hold_out

__all__ = (
    "DatasetError DivergenceError Factorization MovieLens als_matrix_factorization "
    "calculate_mae calculate_objective calculate_residuals calculate_rmse gradient_descent "
    "half_step hold_out init_matrix_factorization load_movielens make_low_rank_ratings "
    "matrix_to_ratings objective_gradient ratings_to_matrix recommend_items solve_row "
).split()
