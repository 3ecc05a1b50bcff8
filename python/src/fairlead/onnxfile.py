"""What this package reads from and changes in an ONNX graph. Needs the package ``onnx``, asked for when used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import FairleadError


def need(package: str, extra: str, why: str) -> Any:
    """Imports package, or says how to install it."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise FairleadError(
            f"{why} needs the package {package}", code="unsupported", hint=f'pip install "fairlead[{extra}]"'
        ) from e


def parse(data: bytes) -> Any:
    """The ModelProto in data."""
    onnx = need("onnx", "onnx", "describing an ONNX model's inputs and outputs")
    try:
        return onnx.load_model_from_string(data)
    except Exception as e:
        raise FairleadError(
            f"this is not an ONNX model: {e}", hint="push the .onnx file that the exporter wrote"
        ) from e


def inputs(model: Any) -> list[Any]:
    """The graph's inputs that a caller must give."""
    constants = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def _width(value: Any) -> int | None:
    """Columns of a 2-D tensor: 0 when not said, None for any other rank or kind."""
    if not value.type.HasField("tensor_type"):
        return None
    dims = value.type.tensor_type.shape.dim
    return int(dims[1].dim_value) if len(dims) == 2 else None


def _is_float(value: Any) -> bool:
    return value.type.tensor_type.elem_type in (1, 10, 11, 16)  # FLOAT, FLOAT16, DOUBLE, BFLOAT16


def _is_numeric(value: Any) -> bool:
    return bool(value.type.HasField("tensor_type")) and value.type.tensor_type.elem_type != 8  # STRING


def name_features(model: Any, features: Sequence[str]) -> list[dict[str, Any]]:
    """Manifest entries that give the columns of the graph's one wide numeric input their names. Features that are
    inputs of their own need none."""
    given = inputs(model)
    own = {i.name for i in given}
    columns = [f for f in features if f not in own]
    if not columns:
        return []
    wide = [i for i in given if i.name not in features and _is_numeric(i) and _width(i) is not None]
    if len(wide) != 1:
        raise FairleadError(
            f"the graph has {len(wide)} numeric inputs of shape [N, k] that these features could be the columns of: "
            f"{[i.name for i in wide]}",
            hint='say which: features={"input name": ["feature", …]}',
        )
    width = _width(wide[0])
    if width not in (0, len(columns)):
        raise FairleadError(
            f"input {wide[0].name!r} has {width} columns, {len(columns)} features were given: {columns}",
            hint="list the features in the order of the input's columns",
        )
    return [{"name": wide[0].name, "features": columns}]


def name_score(model: Any, task: str | None, classes: Sequence[str] | None) -> list[dict[str, Any]]:
    """Manifest entry of the output that holds a probability for each class, or of a regression's value."""
    for output in model.graph.output:
        if not output.type.HasField("tensor_type"):
            raise FairleadError(
                f"output {output.name!r} is not a tensor but a sequence or map",
                hint="export again with zipmap switched off: options={id(model): {'zipmap': False}}",
            )
    floats = [o for o in model.graph.output if _is_float(o)]
    if classes is not None:
        fitting = [o for o in floats if _width(o) in (0, len(classes))]
        if task == "binary":
            fitting = fitting or [o for o in floats if _width(o) == 1 or len(o.type.tensor_type.shape.dim) == 1]
        if len(fitting) != 1:
            raise FairleadError(
                f"{len(fitting)} outputs of the graph could hold a score for each of the {len(classes)} classes: "
                f"{[o.name for o in fitting]}",
                hint="push a bundle folder whose fairlead.yaml says outputs: [{name: …, role: score, classes: […]}]",
            )
        return [{"name": fitting[0].name, "role": "score", "classes": list(classes)}]
    if task == "regression" and len(floats) == 1:
        return [{"name": floats[0].name, "role": "value"}]
    return []


def rename(model: Any, names: Mapping[str, str]) -> None:
    """Renames values of the graph in place, everywhere they are declared, written and read. A value that holds one
    of the new names already is renamed out of its way."""
    graph = model.graph
    declared = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    used = {n for node in graph.node for n in (*node.input, *node.output)} | {v.name for v in declared}
    moves = {old: new for old, new in names.items() if old != new}
    for new in list(moves.values()):
        if new in used and new not in moves:
            other = new
            while other in used or other in moves.values():
                other += "_"
            moves[new] = other
    for node in graph.node:
        node.input[:] = [moves.get(n, n) for n in node.input]
        node.output[:] = [moves.get(n, n) for n in node.output]
    for value in declared:
        value.name = moves.get(value.name, value.name)


def gather_inputs(model: Any, columns: Sequence[str], name: str) -> None:
    """Replaces the float inputs of shape [N, 1] called columns by one input of shape [N, len(columns)] in place.

    One wide input is one array in a request instead of many. Gather on axis 1 exists in every opset.
    """
    onnx = need("onnx", "onnx", "describing an ONNX model's inputs and outputs")
    helper, graph = onnx.helper, model.graph
    kept = [i for i in graph.input if i.name not in columns]
    wide = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, len(columns)])
    del graph.input[:]
    graph.input.extend([wide, *kept])
    nodes = []
    for i, column in enumerate(columns):
        index = f"{name}_column_{i}"
        graph.initializer.append(helper.make_tensor(index, onnx.TensorProto.INT64, [1], [i]))
        nodes.append(helper.make_node("Gather", [name, index], [column], name=f"{name}_gather_{i}", axis=1))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def tidy(model: Any) -> None:
    """Removes what makes equal models differ: converters name the graph at random, and repeat operator sets."""
    model.graph.name = "model"
    highest: dict[str, int] = {}
    for entry in model.opset_import:
        highest[entry.domain] = max(highest.get(entry.domain, 0), entry.version)
    onnx = need("onnx", "onnx", "describing an ONNX model's inputs and outputs")
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid(d, v) for d, v in highest.items()])
