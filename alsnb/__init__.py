"""Alternating least squares, taught on MovieLens: the small package under the notebooks."""

from .als import als_matrix_factorization, half_step
from .coldstart import most_informative_items, popularity_scores
from .datasets import (
    MovieLens,
    load_movielens,
    make_low_rank_ratings,
    matrix_to_ratings,
    ratings_to_matrix,
)
from .explain import explain_recommendation
from .foldin import (
    append_items,
    append_users,
    fold_in_item,
    fold_in_items,
    fold_in_user,
    fold_in_users,
)
from .gradient import gradient_descent, objective_gradient
from .incremental import add_rating_optimized, remove_rating, update_items, update_users
from .loop import DivergenceError, EarlyStopping, Factorization
from .metrics import calculate_mae, calculate_objective, calculate_residuals, calculate_rmse
from .parallel import als_matrix_factorization_parallel
from .recommend import rank_items, recommend_batch, recommend_items, similar_items
from .ridge import solve_block, solve_row
from .sources import DatasetError
from .splits import hold_out, k_fold, leave_out, official_folds, split_by_time
from .storage import ModelFileError, load_model, save_model
from .terms import init_matrix_factorization
from .tuning import cross_validate, grid_search

__all__ = [name for name, value in globals().items() if callable(value) and name[0] != "_"]
