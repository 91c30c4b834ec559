"""Alternating least squares, taught on MovieLens: the small package under the notebooks."""

from .als import als_matrix_factorization, half_step
from .datasets import (
    MovieLens,
    load_movielens,
    make_low_rank_ratings,
    matrix_to_ratings,
    ratings_to_matrix,
)
from .gradient import gradient_descent, objective_gradient
from .loop import DivergenceError, EarlyStopping, Factorization
from .metrics import calculate_mae, calculate_objective, calculate_residuals, calculate_rmse
from .parallel import als_matrix_factorization_parallel
from .recommend import recommend_items
from .ridge import solve_block, solve_row
from .sources import DatasetError
from .splits import hold_out, k_fold, leave_out, official_folds, split_by_time
from .terms import init_matrix_factorization
from .tuning import cross_validate, grid_search

__all__ = [name for name, value in globals().items() if callable(value) and name[0] != "_"]
