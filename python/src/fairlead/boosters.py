"""LightGBM and XGBoost estimators, alone or inside a scikit-learn pipeline, made readable for skl2onnx."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .errors import FairleadError
from .onnxfile import need


def parts_of(model: Any) -> list[Any]:
    """The estimator and those it is made of."""
    return [
        model,
        *(p for p in model.get_params(deep=True).values() if hasattr(p, "get_params") and not isinstance(p, type)),
    ]


def _module(part: Any) -> str:
    return type(part).__module__.partition(".")[0]


def register(parts: Sequence[Any]) -> bool:
    """Teaches skl2onnx the LightGBM and XGBoost estimators among parts; says whether there are any."""
    modules = {_module(p) for p in parts} & {"lightgbm", "xgboost"}
    for module in modules:
        need("onnxmltools", module, f"pushing a model with {module} in it")
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes as classes
        from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes as values

        zipmap = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        if module == "lightgbm":
            import lightgbm
            from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as convert

            update_registered_converter(
                lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classes, convert, options=zipmap
            )
            update_registered_converter(
                lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", values, convert, options={"split": None}
            )
        else:
            import xgboost
            from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as convert

            update_registered_converter(xgboost.XGBClassifier, "XGBoostXGBClassifier", classes, convert, options=zipmap)
            update_registered_converter(xgboost.XGBRegressor, "XGBoostXGBRegressor", values, convert)
    return bool(modules)


def readable(model: Any, parts: Sequence[Any]) -> Any:
    """model, or a copy that the converters can read: they want columns by number, and no pandas categories."""
    for part in parts:
        if _module(part) == "lightgbm" and getattr(getattr(part, "booster_", None), "pandas_categorical", None):
            raise FairleadError(
                "this LightGBM model encodes pandas categories itself, which ONNX cannot carry",
                code="unsupported",
                hint="encode them in a pipeline: make_pipeline(ColumnTransformer([('c', OrdinalEncoder(), …)]), LGBM…)",
            )
    if not any(_module(p) == "xgboost" for p in parts):
        return model
    model = copy.deepcopy(model)
    for part in parts_of(model):
        if _module(part) == "xgboost" and hasattr(part, "get_booster"):
            part.get_booster().feature_names = None
    return model
