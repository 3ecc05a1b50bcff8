"""What push sends: a bare .onnx file, or a tar of a bundle folder, made from whatever the caller has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import bundle, onnxfile
from .convert import class_names, convert, is_estimator
from .errors import FairleadError

TAR, ONNX = "application/x-tar", "application/octet-stream"
_TASKS = ("binary", "multiclass", "regression", "none")


@dataclass(frozen=True)
class Package:
    """The body of a push."""

    name: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class About:
    """What the caller says about a model, checked."""

    reference: pd.DataFrame | None = None
    features: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    label: Mapping[str, Any] | None = None
    task: str | None = None
    classes: list[str] | None = None
    time: str | None = None
    tests: list[dict[str, Any]] | None = None

    def __bool__(self) -> bool:
        return any(v is not None for v in vars(self).values())

    @property
    def not_features(self) -> list[str]:
        return [n for n in ((self.label or {}).get("name"), self.time) if n]


def about(
    reference: pd.DataFrame | str | Path | None = None,
    features: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    label: str | Mapping[str, Any] | None = None,
    task: str | None = None,
    classes: Sequence[Any] | None = None,
    time: str | None = None,
    tests: Sequence[Mapping[str, Any]] | None = None,
) -> About:
    """Checks what the caller says about a model. reference may be the path of a Parquet or CSV file."""
    if isinstance(reference, str | Path):
        reference = _read_frame(Path(reference))
    if reference is not None and not isinstance(reference, pd.DataFrame):
        raise FairleadError(f"reference must be a DataFrame or a path, got {type(reference).__name__}")
    if isinstance(features, str):
        raise FairleadError("features must be a list of names, got a string", hint=f"write features=[{features!r}]")
    if task is not None and task not in _TASKS:
        raise FairleadError(f"task {task!r} is not known", hint=f"use one of {', '.join(_TASKS)}")
    if time is not None and (reference is None or time not in reference.columns):
        raise FairleadError(
            f"time={time!r} names no column of the reference", hint="it names the column of event times"
        )
    if isinstance(label, str):
        label = {"name": label}
    if label is not None and not (isinstance(label, Mapping) and set(label) <= {"name", "delay"} and label.get("name")):
        raise FairleadError(
            f"label must be a name or {{'name': …, 'delay': …}}, got {label!r}", hint='for example label="late"'
        )
    if tests is not None and not (isinstance(tests, list | tuple) and all(isinstance(t, Mapping) for t in tests)):
        raise FairleadError(
            f"tests must be a list of dicts, got {tests!r}",
            hint='for example tests=[{"metric": "auroc", "at_least": 0.7}]',
        )
    return About(
        reference,
        features,
        label,
        task,
        class_names(classes) if classes is not None else None,
        time,
        [dict(t) for t in tests] if tests is not None else None,
    )


def policy(rollout: bool | str | Mapping[str, Any]) -> str | None:
    """The policy of a rollout as the server reads it; None: the deployment's own."""
    if isinstance(rollout, bool):
        return None
    if isinstance(rollout, str) and rollout.strip():
        return rollout
    if isinstance(rollout, Mapping):
        return json.dumps(rollout, ensure_ascii=False)
    raise FairleadError(
        f"rollout must be True, or a policy as a dict or as YAML, got {rollout!r}",
        hint='for example rollout={"stages": ["5%", "100%"]}',
    )


def _read_frame(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FairleadError(f"there is no file {path}")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if path.suffix.lower() == ".csv":
            return pd.read_csv(path)
    except Exception as e:
        raise FairleadError(f"cannot read the reference {path}: {e}") from e
    raise FairleadError(f"the reference {path} is neither .parquet nor .csv")


def package(model: Any, name: str | None, says: About) -> Package:
    """Packages model. Deterministic: equal content gives equal bytes, so pushing twice makes one version."""
    if isinstance(model, str | Path):
        path = Path(model)
        if path.is_dir():
            return _folder(path, name, says)
        if not path.is_file():
            raise FairleadError(f"there is no file or folder {path}")
        if path.suffix.lower() != ".onnx":
            raise FairleadError(
                f"{path} is neither an .onnx file nor a bundle folder", hint="export the model to ONNX first"
            )
        return _onnx(path.read_bytes(), _required(name), says)
    if isinstance(model, bytes):
        return _onnx(model, _required(name), says)
    if hasattr(model, "SerializeToString") and hasattr(model, "graph"):
        return _onnx(model.SerializeToString(), _required(name), says)
    if is_estimator(model) and not isinstance(model, type):
        return _estimator(model, _required(name), says)
    raise _unknown(model)


def _required(name: str | None) -> str:
    if name is None:
        raise FairleadError("a model needs a name", hint='push(model, name="flights")')
    return bundle.check_name(name)


def _unknown(model: Any) -> FairleadError:
    kinds = {f"{c.__module__}.{c.__qualname__}" for c in type(model).__mro__}
    hint = "push an .onnx file, a bundle folder, a ModelProto, or a fitted scikit-learn, LightGBM or XGBoost estimator"
    if "torch.nn.modules.module.Module" in kinds:
        hint = 'export it with a dynamic first axis, torch.onnx.export(model, example, "model.onnx", …), and push that'
    elif "lightgbm.basic.Booster" in kinds or "xgboost.core.Booster" in kinds:
        hint = "train with the scikit-learn interface (LGBMClassifier, …), or convert with onnxmltools and push that"
    elif isinstance(model, type):
        hint = f"that is a class: push a fitted {model.__name__}()"
    return FairleadError(
        f"cannot push a {type(model).__module__}.{type(model).__qualname__}", code="unsupported", hint=hint
    )


def _folder(path: Path, name: str | None, says: About) -> Package:
    if says:
        given = [k for k, v in vars(says).items() if v is not None]
        raise FairleadError(
            f"a bundle folder says {', '.join(given)} itself", hint=f"write it into {path / bundle.MANIFEST}"
        )
    files = bundle.read_folder(path)
    name = name or bundle.folder_name(files[bundle.MANIFEST])
    return Package(_required(name), TAR, bundle.pack(files))


def _onnx(data: bytes, name: str, says: About) -> Package:
    if not says:
        return Package(name, ONNX, data)
    entries: dict[str, Any] = {"name": name, "model": "model.onnx"}
    if isinstance(says.features, Mapping):
        entries["inputs"] = [{"name": k, "features": list(v)} for k, v in says.features.items()]
    elif says.features is not None:
        entries["inputs"] = onnxfile.name_features(onnxfile.parse(data), says.features)
    if says.classes is not None or says.task == "regression":
        entries["outputs"] = onnxfile.name_score(onnxfile.parse(data), says.task, says.classes)
    return _bundle(entries, data, says, says.task, says.reference)


def _estimator(model: Any, name: str, says: About) -> Package:
    if isinstance(says.features, Mapping):
        raise FairleadError("features of an estimator are a list of names", hint="in the order of training")
    done = convert(
        model, says.reference, says.features, not_features=says.not_features, task=says.task, classes=says.classes
    )
    entries = {"name": name, "model": "model.onnx", "inputs": done.inputs, "outputs": done.outputs}
    return _bundle(entries, done.model.SerializeToString(), says, done.task, _reference(done, says))


def _reference(done: Any, says: About) -> pd.DataFrame | None:
    """Features, then label and time where there are such columns, then the model's answers."""
    if says.reference is None:
        return None
    extra = [c for c in says.not_features if c in says.reference.columns and c not in done.features]
    frame = says.reference[[*done.features, *extra]].copy()
    flags = [c for c in done.features if pd.api.types.is_bool_dtype(frame[c].dtype)]
    # A boolean feature reaches the graph as a float.
    frame = frame.astype({c: "Int64" if frame[c].hasnans else "int64" for c in flags})
    for column, values in done.answers.items():
        if column not in frame.columns:
            frame[column] = values
    return frame


def _bundle(
    entries: dict[str, Any], data: bytes, says: About, task: str | None, reference: pd.DataFrame | None
) -> Package:
    entries["task"] = task
    entries["label"] = dict(says.label) if says.label else None
    entries["tests"] = says.tests
    files = {"model.onnx": data}
    if reference is not None:
        files["reference.parquet"] = bundle.parquet(reference, says.time)
        entries["reference"] = {"file": "reference.parquet", "time": says.time} if says.time else "reference.parquet"
    files[bundle.MANIFEST] = bundle.manifest(entries).encode()
    return Package(entries["name"], TAR, bundle.pack(files))
