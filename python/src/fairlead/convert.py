"""Fitted scikit-learn, LightGBM and XGBoost estimators into ONNX, with a description of what goes in and comes out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from . import boosters, onnxfile
from .errors import FairleadError, FairleadWarning
from .onnxfile import need

_CHECKED_ROWS = 200
_TOLERANCE = 1e-3  # float32 against float64; a larger gap means another model


@dataclass
class Converted:
    """A converted estimator. outputs are the reference's columns for what the model answers on it, by field name."""

    model: Any
    features: list[str]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    task: str
    answers: dict[str, Any] = field(default_factory=dict)


def is_estimator(model: Any) -> bool:
    """Whether model looks like a scikit-learn estimator (LightGBM's and XGBoost's are)."""
    return hasattr(model, "fit") and hasattr(model, "get_params") and hasattr(model, "predict")


def convert(
    model: Any,
    reference: pd.DataFrame | None,
    features: Sequence[str] | None,
    *,
    not_features: Sequence[str] = (),
    task: str | None = None,
    classes: Sequence[str] | None = None,
) -> Converted:
    """Converts a fitted estimator. Numeric features become the columns of one float input ``features``; each column
    of strings becomes an input of its own."""
    need("skl2onnx", "sklearn", "pushing a scikit-learn model")
    _check_fitted(model)
    names = _features(model, reference, features, not_features)
    strings = [n for n in names if reference is not None and _is_text(reference[n])]
    numbers = [n for n in names if n not in strings]
    wide = _unused("features", names)
    proto = _to_onnx(model, names, numbers, strings, wide)
    found = task or _task(model)
    out = Converted(proto, names, _inputs(wide, numbers), [], found)
    _describe_outputs(out, model, _unused_map(names), classes)
    onnxfile.tidy(proto)
    if reference is not None:
        _answers(out, model, reference[names])
        _compare(out, reference[names], numbers, strings, wide)
    return out


def _check_fitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as e:
        raise FairleadError(f"this {type(model).__name__} is not fitted", hint="call .fit(X, y) first") from e


def _features(
    model: Any, reference: pd.DataFrame | None, features: Sequence[str] | None, not_features: Sequence[str]
) -> list[str]:
    """The features in the order the estimator saw them."""
    fitted = [str(n) for n in getattr(model, "feature_names_in_", [])]
    if fitted and all(n.startswith("Column_") for n in fitted):
        fitted = []  # LightGBM's names for columns that had none
    names = list(features) if features is not None else fitted
    if not names and reference is not None:
        names = [str(c) for c in reference.columns if c not in not_features]
    count = getattr(model, "n_features_in_", None)
    if not names:
        raise FairleadError(
            f"the names of the model's {count or ''} features are not known".replace("  ", " "),
            hint="give features=[…], or reference=df with the columns it was trained on",
        )
    if count is not None and count != len(names):
        raise FairleadError(
            f"the model was trained on {count} features, {len(names)} were given: {names}",
            hint="give features=[…] in the order of training; label=… and time=… name columns that are none",
        )
    if fitted and names != fitted:
        raise FairleadError(
            f"the model was trained on {fitted}, features={names} was given", hint="leave features=… out"
        )
    missing = [n for n in names if reference is not None and n not in reference.columns]
    if missing:
        raise FairleadError(
            f"the reference lacks columns that the model takes: {missing}",
            hint=f"it has {list(map(str, reference.columns if reference is not None else []))}",
        )
    return names


def _is_text(column: pd.Series) -> bool:
    """Whether a column holds strings; refuses what is neither strings nor numbers."""
    dtype = column.dtype
    kind = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        return False
    sample = column.dropna()
    if all(isinstance(v, str) for v in sample.head(1000)):
        return True
    if all(isinstance(v, int | float | np.number | np.bool_) for v in sample.head(1000)):
        return False
    raise FairleadError(
        f"feature {column.name!r} holds {dtype}, which is neither numbers nor strings",
        hint="convert it, or name it as time=… or label=… if it is no feature",
    )


def _unused(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _unused_map(taken: Sequence[str]) -> dict[str, str]:
    return {n: _unused(n, taken) for n in ("probability", "score", "predicted_label", "prediction")}


def _to_onnx(model: Any, names: list[str], numbers: list[str], strings: list[str], wide: str) -> Any:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer

    parts = boosters.parts_of(model)
    target = {"": 18, "ai.onnx.ml": 3}
    if boosters.register(parts):
        target[""] = 15  # the newest that onnxmltools converts to
    model = boosters.readable(model, parts)
    # A ColumnTransformer picks its columns by the names of the graph's inputs, so each needs one.
    separate = bool(strings) or any(isinstance(p, ColumnTransformer) for p in parts)
    if separate:
        types = [(n, (StringTensorType if n in strings else FloatTensorType)([None, 1])) for n in names]
    else:
        types = [(wide, FloatTensorType([None, len(names)]))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            proto = _convert_plain(model, types, target)
    except Exception as e:
        raise _not_converted(model, e) from e
    # skl2onnx renames an input whose name it wants for something else; the order stays.
    actual = dict(zip(names if separate else [wide], [i.name for i in proto.graph.input], strict=True))
    if separate and numbers:
        onnxfile.gather_inputs(proto, [actual.pop(n) for n in numbers], wide)
    onnxfile.rename(proto, {old: new for new, old in actual.items()})
    return proto


def _convert_plain(model: Any, types: list[Any], target: dict[str, int]) -> Any:
    """Converts so that scores come out as a tensor, not as a sequence of maps."""
    from skl2onnx import convert_sklearn
    from sklearn.base import is_classifier

    if is_classifier(model):
        try:
            return convert_sklearn(
                model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset=target
            )
        except NameError:  # this kind of classifier knows no zipmap
            pass
    return convert_sklearn(model, initial_types=types, target_opset=target)


def _not_converted(model: Any, e: Exception) -> FairleadError:
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    reason = (lines[0] if lines else type(e).__name__)[:300]
    hint = "use transformers and estimators that skl2onnx knows, or export to ONNX yourself and push the file"
    if "Unable to create node 'TreeEnsemble" in reason:
        hint = 'protobuf 7 breaks skl2onnx here: pip install "protobuf<7"'
    return FairleadError(
        f"skl2onnx cannot convert this {type(model).__name__}: {reason}", code="unsupported", hint=hint
    )


def _task(model: Any) -> str:
    from sklearn.base import is_classifier, is_regressor

    if is_regressor(model):
        return "regression"
    if is_classifier(model) and hasattr(model, "predict_proba"):
        classes = model.classes_
        if isinstance(classes, list):
            raise FairleadError(
                "this classifier answers several labels at once", code="unsupported", hint="push one model per label"
            )
        return "binary" if len(classes) == 2 else "multiclass"
    return "none"


def class_names(classes: Any) -> list[str]:
    """Class names as labels are written on the wire: true and false in lower case, whole numbers without a point."""
    names = []
    for c in classes:
        if isinstance(c, bool | np.bool_):
            names.append("true" if c else "false")
        elif isinstance(c, float | np.floating) and float(c).is_integer():
            names.append(str(int(c)))
        else:
            names.append(str(c))
    return names


def _inputs(wide: str, numbers: list[str]) -> list[dict[str, Any]]:
    return [{"name": wide, "features": numbers}] if numbers else []


def _describe_outputs(out: Converted, model: Any, names: dict[str, str], classes: Sequence[str] | None) -> None:
    """Gives the graph's outputs names that say what they are, and their roles."""
    raw = [o.name for o in out.model.graph.output]
    if hasattr(model, "classes_") and len(raw) == 2:
        own = class_names(model.classes_)
        if classes is not None and len(classes) != len(own):
            raise FairleadError(f"the model has {len(own)} classes, {own}; classes={list(classes)} was given")
        label = names["predicted_label"]
        score = names["probability" if hasattr(model, "predict_proba") else "score"]
        onnxfile.rename(out.model, {raw[0]: label, raw[1]: score})
        out.outputs = [
            {"name": score, "role": "score", "classes": list(classes or own)},
            {"name": label, "role": "label"},
        ]
    elif len(raw) == 1:
        onnxfile.rename(out.model, {raw[0]: names["prediction"]})
        out.outputs = [{"name": names["prediction"], "role": "value"}]


def _answers(out: Converted, model: Any, frame: pd.DataFrame) -> None:
    """The model's answers on the reference, so that its outputs have something to be compared with too."""
    given = frame if hasattr(model, "feature_names_in_") else frame.to_numpy()
    first = out.outputs[0] if out.outputs else {}
    try:
        if first.get("role") == "score" and hasattr(model, "predict_proba"):
            shares = np.asarray(model.predict_proba(given))
            if out.task == "binary":
                out.answers[first["name"]] = shares[:, 1]
            else:
                out.answers.update({f"{first['name']}.{c}": shares[:, i] for i, c in enumerate(first["classes"])})
            label = np.asarray(model.predict(given))
            out.answers[out.outputs[1]["name"]] = label.astype("int64") if label.dtype.kind in "bf" else label
        elif first.get("role") == "value":
            values = np.asarray(model.predict(given), dtype="float64")
            if values.size == len(frame):
                out.answers[first["name"]] = values.ravel()
    except Exception as e:
        raise FairleadError(
            f"the model fails on the reference: {e}", hint="the reference must hold rows as the model was trained on"
        ) from e


def _compare(out: Converted, frame: pd.DataFrame, numbers: list[str], strings: list[str], wide: str) -> None:
    """Warns when the graph answers otherwise than the estimator did, where ONNX Runtime is there to tell."""
    try:
        import onnxruntime
    except ImportError:
        return
    name = out.outputs[0]["name"] if out.outputs else ""
    want = out.answers.get(
        name, out.answers.get(f"{name}.{(out.outputs[0].get('classes') or [''])[-1]}" if name else "")
    )
    rows = np.flatnonzero(frame[strings].notna().all(axis=1).to_numpy())[:_CHECKED_ROWS]
    if want is None or not len(rows):
        return
    part = frame.iloc[rows]
    feed: dict[str, Any] = {s: part[[s]].to_numpy(dtype=object) for s in strings}
    if numbers:
        feed[wide] = part[numbers].astype("float64").to_numpy(dtype=np.float32)
    try:
        session = onnxruntime.InferenceSession(out.model.SerializeToString(), providers=["CPUExecutionProvider"])
        (got,) = session.run([name], feed)
    except Exception as e:
        raise FairleadError(f"the converted model does not run: {e}", code="unsupported") from e
    gap = np.abs(
        np.asarray(got, dtype="float64").reshape(len(rows), -1)[:, -1] - np.asarray(want, dtype="float64")[rows]
    )
    scale = 1.0 if out.outputs[0]["role"] == "score" else 1.0 + np.abs(np.asarray(want, dtype="float64")[rows])
    off = int((gap > _TOLERANCE * scale).sum())
    if off:
        warnings.warn(
            f"the ONNX graph and the estimator differ on {off} of {len(rows)} reference rows "
            f"(by up to {gap.max():.3g}); "
            "float32 splits and missing values are the usual causes",
            FairleadWarning,
            stacklevel=4,
        )
