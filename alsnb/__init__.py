"""Alternating least squares, taught on MovieLens: the small package under the notebooks.

A table of contents, chapter by chapter:

01  the data: load_movielens, Ratings, train_test_split, leave_k_out, k_fold, split_by_time,
    official_folds, count_ratings, rated_by
02  the one equation: solve_row, half_step, calculate_objective, objective_gradient,
    make_low_rank_ratings
03  a fit, its errors and its lists: als_matrix_factorization, init_matrix_factorization,
    gradient_descent, calculate_rmse, calculate_mae, calculate_residuals, recommend_items
04  the same on all cores: als_matrix_factorization_parallel
05  settings: ALS, grid_search, best_settings, cross_validate, EarlyStopping
06  a model in use: Factorization (predict, recommend, similar_items, fold_in, update, forget,
    append, explain, save), load_model, add_rating_optimized, top_items, damped_means
07  features as prior means: ALS(implicit_features=True), and user_features and item_features of
    its method fit; Factorization (prior_mean, feature_effects)
08  how sure it is: sample_factorization, whose Posterior has predict, interval, recommend and
    fold_in; in alsnb.bayes, most_informative_items
09  lists, not stars: ALS(confidence=…) and its method fit(…, solver="cg"), Ratings.binarize,
    Ratings.counts, evaluate_lists, leave_k_out

Figures are in `alsnb.plotting`; the widget, which needs ipywidgets, in `alsnb.widgets`.
"""

from .als import (
    DivergenceError,
    EarlyStopping,
    als_matrix_factorization,
    als_matrix_factorization_parallel,
    init_matrix_factorization,
)
from .bayes import sample_factorization
from .gradient import gradient_descent, objective_gradient
from .metrics import (
    calculate_mae,
    calculate_objective,
    calculate_residuals,
    calculate_rmse,
    evaluate_lists,
)
from .model import ALS, Factorization, add_rating_optimized, load_model, recommend_items, top_items
from .movielens import DatasetError, load_movielens
from .ratings import (
    Ratings,
    count_ratings,
    damped_means,
    k_fold,
    leave_k_out,
    make_low_rank_ratings,
    official_folds,
    rated_by,
    split_by_time,
    train_test_split,
)
from .ridge import half_step, solve_row
from .tuning import best_settings, cross_validate, grid_search

__all__ = [name for name, value in globals().items() if callable(value) and name[0] != "_"]
