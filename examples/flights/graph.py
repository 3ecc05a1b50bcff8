"""Build the ONNX graph of the flights model: airport statistics and boosted trees in one graph."""

import numpy as np
from onnx import TensorProto, checker, helper

# Old enough for every ONNX Runtime of the last years; nothing newer is needed.
OPSET, ML_OPSET, IR = 17, 3, 8


def build(features, origin, destination, trees):
    """Serialise the model.

    Inputs: `features` float32 [n, k] in the order of features, `origin` and `destination` strings [n, 1].
    Output: `probability` float32 [n, 1]. origin and destination are (rates, default): airport → value and the value
    of every other airport. trees are LightGBM's tree_info over features, origin's value, destination's value.
    """
    nodes = [
        _airport("origin", origin),
        _airport("destination", destination),
        helper.make_node("Concat", ["features", "origin_rate", "destination_rate"], ["columns"], axis=1),
        helper.make_node(
            "TreeEnsembleRegressor",
            ["columns"],
            ["log_odds"],
            domain="ai.onnx.ml",
            n_targets=1,
            aggregate_function="SUM",
            **_ensemble(trees),
        ),
        # ONNX Runtime ignores the regressor's own LOGISTIC for a single target.
        helper.make_node("Sigmoid", ["log_odds"], ["probability"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "flights",
        [
            value("features", TensorProto.FLOAT, ["n", len(features)]),
            value("origin", TensorProto.STRING, ["n", 1]),
            value("destination", TensorProto.STRING, ["n", 1]),
        ],
        [value("probability", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="flights")
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _airport(name, table):
    rates, default = table
    airports = sorted(rates)
    return helper.make_node(
        "LabelEncoder",
        [name],
        [name + "_rate"],
        domain="ai.onnx.ml",
        keys_strings=airports,
        values_floats=[rates[a] for a in airports],
        default_float=default,
    )


def _ensemble(trees):
    """LightGBM's nested trees as the flat attributes of a TreeEnsembleRegressor."""
    a = {
        "nodes_treeids": [], "nodes_nodeids": [], "nodes_featureids": [], "nodes_values": [], "nodes_modes": [],
        "nodes_truenodeids": [], "nodes_falsenodeids": [], "nodes_missing_value_tracks_true": [],
        "target_treeids": [], "target_nodeids": [], "target_ids": [], "target_weights": [],
    }  # fmt: skip
    for tree, info in enumerate(trees):
        _flatten(a, tree, info["tree_structure"])
    return a


def _flatten(a, tree, root):
    todo, free = [(0, root)], 1  # breadth first: a node's id is fixed when its parent is written
    while todo:
        node, at = todo.pop(0)
        leaf = "leaf_value" in at
        left, right = (0, 0) if leaf else (free, free + 1)
        # float32 x <= t is the same question as x <= the greatest float32 not above t.
        threshold = 0.0 if leaf else _floor32(at["threshold"])
        a["nodes_treeids"].append(tree)
        a["nodes_nodeids"].append(node)
        a["nodes_featureids"].append(0 if leaf else at["split_feature"])
        a["nodes_values"].append(threshold)
        a["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
        a["nodes_truenodeids"].append(left)
        a["nodes_falsenodeids"].append(right)
        # LightGBM reads NaN as 0 in a column that had none in training.
        a["nodes_missing_value_tracks_true"].append(int(not leaf and threshold >= 0))
        if leaf:
            a["target_treeids"].append(tree)
            a["target_nodeids"].append(node)
            a["target_ids"].append(0)
            a["target_weights"].append(at["leaf_value"])
        else:
            assert at["decision_type"] == "<=" and at["missing_type"] == "None", at
            todo += [(left, at["left_child"]), (right, at["right_child"])]
            free += 2


def _floor32(t):
    f = np.float32(t)
    return float(f if float(f) <= t else np.nextafter(f, np.float32(-np.inf)))
