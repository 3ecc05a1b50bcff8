"""A pushed model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, as :func:`fairlead.push` leaves it on the server.

    Attributes:
        model: the model's name.
        version: ordinal, from 1.
        digest: of the content, ``sha256:…``.
        deployment: the deployment that now serves it.
        existing: the same content was there already; no new version was made.
        rollout: by which it goes live: id, stage and share of the traffic; None: it is live.
        notes: what the server noticed, for example features without a reference.
    """

    model: str
    version: int
    digest: str
    created: pd.Timestamp | None = None
    size_bytes: int = 0
    task: str = "none"
    inputs: list[dict[str, Any]] = field(default_factory=list, repr=False)
    outputs: list[dict[str, Any]] = field(default_factory=list, repr=False)
    label: str | None = None
    reference: dict[str, Any] | None = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)
    deployment: str = ""
    existing: bool = False
    rollout: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ModelVersion:
        """The server's answer to a push; what this package does not know is left out."""
        known = {k: v for k, v in answer.items() if k in cls.__dataclass_fields__ and v is not None}
        if "created" in known:
            known["created"] = pd.Timestamp(known["created"])
        return cls(**known)
