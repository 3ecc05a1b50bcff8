"""The client of a fairlead server."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import httpx
import pandas as pd

from . import answers, events, labels, rows
from .errors import FairleadError, FairleadWarning
from .package import about, package, policy
from .transport import Transport, segment
from .version import ModelVersion

Time = str | dt.datetime | pd.Timestamp
Grain = Literal["hour", "day"]

_CELLS_PER_REQUEST = 200_000  # keeps a request at a few megabytes
_ROWS_PER_REQUEST = 2_000
_LABELS_PER_REQUEST = 10_000
_PUSH_TIMEOUT = 300.0


class Client:
    """Talks to one server; use it as a context manager, or call :meth:`close`.

    Args:
        server: address; by default the environment's ``FAIRLEAD_SERVER``, else ``http://127.0.0.1:8080``.
        timeout: seconds to wait for one answer; None waits for ever.

    Every method raises :class:`fairlead.FairleadError`. Reading and labelling are tried again while the server is
    busy or away; predictions are not, for each is recorded.

    Example:
        >>> with fairlead.Client() as client:
        ...     predictions = client.predict("flights", df)
        ...     client.label("flights", predictions, values=df["late"])
    """

    def __init__(
        self, server: str | None = None, timeout: float | None = 30.0, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._handler = transport
        self._http = Transport(server, timeout, transport)
        self._specs: dict[str, answers.Spec | None] = {}

    @property
    def server(self) -> str:
        """The server's address."""
        return self._http.server

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"fairlead.Client({self.server!r})"

    def push(
        self,
        model: Any,
        name: str | None = None,
        *,
        reference: pd.DataFrame | str | Path | None = None,
        alias: str | None = None,
        features: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        label: str | Mapping[str, Any] | None = None,
        task: str | None = None,
        classes: Sequence[Any] | None = None,
        time: str | None = None,
        tests: Sequence[Mapping[str, Any]] | None = None,
        test: bool = False,
        rollout: bool | str | Mapping[str, Any] = False,
        force: bool = False,
        trained_on: str | Sequence[str] | None = None,
        quantized_from: str | None = None,
        distilled_from: str | None = None,
    ) -> ModelVersion:
        """Pushes a model; see :func:`fairlead.push`."""
        sent = package(model, name, about(reference, features, label, task, classes, time, tests))
        path = f"/api/v1/models/{segment(sent.name)}/versions"
        # Profiling a large reference takes longer than an ordinary answer.
        http = Transport(self.server, _PUSH_TIMEOUT, self._handler)
        try:
            said = {
                "alias": alias,
                "force": "true" if force else None,
                "test": "true" if test else None,
                "rollout": "true" if rollout is not False else None,
                "policy": policy(rollout),
                "trained_on": [trained_on] if isinstance(trained_on, str) else trained_on,
                "quantized_from": quantized_from,
                "distilled_from": distilled_from,
            }
            answer = http.upload(path, sent.body, sent.content_type, said)
        finally:
            http.close()
        self._specs.clear()
        version = ModelVersion.of(answer)
        for note in version.notes:
            warnings.warn(f"{version.model}@{version.version}: {note}", FairleadWarning, stacklevel=2)
        return version

    def predict(
        self,
        deployment: str,
        df: pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        ids: Any = None,
        times: Any = None,
        keys: Any = None,
        tags: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        *,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Predicts every row of df.

        Args:
            deployment: name of the deployment (by default a model's name).
            df: one column for each feature, named as in the signature; or a dict, or a list of dicts. Missing values
                are sent as null.
            ids: prediction ids of your own; the server makes them otherwise.
            times: event times, without a zone taken as UTC; the time of arrival otherwise.
            keys: entity keys. ids, times and keys are each a column's name (that column is then no feature), a Series
                matched by index, or a sequence in row order.
            tags: free key-value pairs, one dict for all rows or one for each.
            batch_size: rows in one request; by default up to 2,000, fewer when there are many columns.
            progress: shows a bar, if tqdm is installed.

        Returns:
            A frame with df's index: ``prediction_id``, then a column for each output. A binary model's score is the
            probability of its second class; a multi-class score gives ``output.class`` columns.

        Example:
            >>> client.predict("flights", df[["hour", "distance", "origin"]], times=df["scheduled"])
              prediction_id               probability
            0 01J8Z5T4N8W9V6Y0M2K7R3Q1XA.0   0.183
        """
        path = f"/v2/models/{segment(deployment)}/infer"
        frame = rows.as_frame(df)
        metas, used = rows.metas(frame, ids, times, keys, tags)
        features = frame.drop(columns=list(used))
        if not len(features.columns) and len(features):
            raise FairleadError("the frame has no features left to send")
        if batch_size is not None and batch_size < 1:
            raise FairleadError(f"batch_size must be at least 1, got {batch_size}")
        size = batch_size or max(1, min(_ROWS_PER_REQUEST, _CELLS_PER_REQUEST // max(1, len(features.columns))))
        spec = self._spec(deployment)
        encoder = rows.Encoder(features, spec.types if spec else None)
        parts: list[pd.DataFrame] = []
        for start in _bar(range(0, len(frame), size), progress):
            stop = min(start + size, len(frame))
            try:
                body: dict[str, Any] = {"instances": encoder.instances(start, stop)}
                if metas is not None:
                    body["rows"] = metas[start:stop]
                answer = self._http.post(path, body)
                spec = self._answered_by(deployment, answer, spec)
                parts.append(answers.predictions(answer, frame.index[start:stop], spec))
            except FairleadError as e:
                if parts:
                    e.partial = pd.concat(parts)
                    e.message += (
                        f"; rows {start} to {stop - 1} failed, the {start} before them are answered and recorded"
                    )
                raise
        return pd.concat(parts) if parts else pd.DataFrame({"prediction_id": pd.Series(dtype="str")}, index=frame.index)

    def label(self, deployment: str, predictions: Any, values: Any = None, times: Any = None) -> int:
        """Tells the server what turned out to be true; returns how many labels are on its disk now.

        Missing values mean "not known yet" and are not sent. A later label for the same prediction corrects the
        earlier one, so sending twice does no harm.

        Args:
            deployment: name of the deployment.
            predictions: what :meth:`predict` returned (or any frame with ``prediction_id``), a sequence of ids, one
                id, or a Series of labels whose index holds the ids.
            values: class names, numbers or booleans: a sequence, a Series matched by index, or a column's name.
            times: when each outcome happened; the time of arrival otherwise.

        Example:
            >>> client.label("flights", predictions, values=df["late"])
            500
            >>> client.label("flights", "01J8Z5T4N8W9V6Y0M2K7R3Q1XA", True)
            1
        """
        path = f"/api/v1/deployments/{segment(deployment)}/labels"
        sent = labels.rows(predictions, values, times)
        accepted = 0
        for start in range(0, len(sent), _LABELS_PER_REQUEST):
            answer = self._http.post(path, {"labels": sent[start : start + _LABELS_PER_REQUEST]}, safe=True)
            accepted += int(answer["accepted"])
        return accepted

    def event(
        self,
        deployment: str,
        name: str,
        predictions: Any = None,
        values: Any = None,
        times: Any = None,
        *,
        keys: Any = None,
    ) -> int:
        """Sends business events, numbers that came of predictions; returns how many are on the server's disk now.

        Rollouts and bandits compare versions by them. Missing values mean "not known yet" and are not sent. Unlike
        labels, events of one prediction add up: calling this twice counts twice.

        Args:
            deployment: name of the deployment.
            name: of the event, for example ``revenue``.
            predictions: as for :meth:`label`.
            values: numbers or booleans: a sequence, a Series matched by index, or a column's name.
            times: when each happened; the time of arrival otherwise.
            keys: entity keys, instead of predictions: an event belongs to the latest prediction about its entity at
                or before its time.

        Example:
            >>> client.event("shop", "revenue", predictions, values=orders["amount"])
            500
            >>> client.event("shop", "click", keys="customer-7", values=1)
            1
        """
        path = f"/api/v1/deployments/{segment(deployment)}/events"
        sent = events.rows(name, predictions, values, times, keys)
        accepted = 0
        for start in range(0, len(sent), _LABELS_PER_REQUEST):
            answer = self._http.post(path, {"events": sent[start : start + _LABELS_PER_REQUEST]}, safe=True)
            accepted += int(answer["accepted"])
        return accepted

    def drift(
        self,
        deployment: str,
        grain: Grain = "day",
        start: Time | None = None,
        end: Time | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Distances of live traffic from the reference: one row for each window of event time and column.

        Args:
            deployment: name of the deployment.
            grain: length of a window, "hour" or "day".
            start: earliest window.
            end: latest window.
            limit: windows at most.

        Returns:
            ``window, column, kind, output, n, m, reference, psi, psi_debiased, psi_floor, ks, … , missing, unseen,
            verdict, provisional``. Each distance stands beside its noise floor. ``attrs["rule"]`` is the alert rule,
            ``attrs["empty"]`` says why there is nothing (``no_reference``, ``no_data``).

        Example:
            >>> d = client.drift("flights")
            >>> d[d.verdict == "drifted"].pivot(index="column", columns="window", values="psi_debiased")
        """
        return answers.drift(self._windows(deployment, "drift", grain, start, end, limit))

    def metrics(
        self,
        deployment: str,
        grain: Grain = "day",
        start: Time | None = None,
        end: Time | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Realised metrics over the labels that have arrived: one row for each window of event time.

        Returns:
            ``window, n, labelled, provisional`` and a column for each metric of the task.
            ``attrs["reference"]`` has those of the reference data.

        Example:
            >>> client.metrics("flights").plot(x="window", y=["auroc", "brier"])
        """
        return answers.metrics(self._windows(deployment, "metrics", grain, start, end, limit))

    def alerts(self, deployment: str | None = None, state: str | None = None) -> pd.DataFrame:
        """Alerts, one row each; only those of a deployment or in a state ("pending", "firing", "resolved") if given.

        Example:
            >>> client.alerts(state="firing")[["deployment", "column", "onset", "message"]]
        """
        frame = answers.alerts(self._http.get("/api/v1/alerts"))
        if deployment is not None:
            frame = frame[frame["deployment"] == deployment]
        if state is not None:
            frame = frame[frame["state"] == state]
        return frame.reset_index(drop=True)

    def models(self) -> pd.DataFrame:
        """Every version of every model, newest first.

        Example:
            >>> client.models()[["name", "version", "aliases"]]
        """
        return answers.models(self._http.get("/api/v1/models"))

    def deployments(self) -> pd.DataFrame:
        """Every deployment with its traffic, latency and number of firing alerts.

        Example:
            >>> client.deployments()[["name", "version", "rows", "labelled", "p99_ms"]]
        """
        return answers.deployments(self._http.get("/api/v1/deployments"))

    def sql(self, query: str, limit: int | None = None) -> pd.DataFrame:
        """Runs one read-only query on the evaluation store (DuckDB) and returns its table with proper types.

        Args:
            query: a SELECT over ``predictions``, ``labels``, ``events``, ``outcomes``, ``findings``, ``metrics`` or a
                deployment's own ``rows."name"``.
            limit: rows at most; the server's default is 10,000. A cut answer gives a FairleadWarning.

        Example:
            >>> client.sql('SELECT origin, avg(probability) AS p FROM rows."flights" GROUP BY origin')
        """
        body: dict[str, Any] = {"query": query}
        if limit is not None:
            body["limit"] = limit
        return answers.sql(self._http.post("/api/v1/sql", body))

    def _windows(self, deployment: str, what: str, grain: str, start: Any, end: Any, limit: int | None) -> Any:
        if grain not in ("hour", "day"):
            raise FairleadError(f"grain {grain!r} is not known", hint='use "hour" or "day"')
        params = {"grain": grain, "from": _instant(start, "start"), "to": _instant(end, "end"), "limit": limit}
        return self._http.get(f"/api/v1/deployments/{segment(deployment)}/{what}", params)

    def _spec(self, deployment: str) -> answers.Spec | None:
        """What the version behind a deployment takes and answers; None where the server does not say."""
        if deployment not in self._specs:
            self._specs[deployment] = self._find_spec(deployment)
        return self._specs[deployment]

    def _find_spec(self, deployment: str) -> answers.Spec | None:
        try:
            found = next((d for d in self._http.get("/api/v1/deployments") or [] if d["name"] == deployment), None)
            models = self._http.get("/api/v1/models") if found else None
        except FairleadError as e:
            if e.status == 404:
                return None
            raise
        for model in models or []:
            for version in model.get("versions") or []:
                if found and model["name"] == found["model"] and version["version"] == found["version"]:
                    return answers.Spec.of(version)
        return None

    def _answered_by(self, deployment: str, answer: Any, spec: answers.Spec | None) -> answers.Spec | None:
        """spec, looked up again when another version answered than the one it describes."""
        answered = str(answer.get("model_version", "")) if isinstance(answer, dict) else ""
        if spec is None or not answered or answered == spec.version:
            return spec
        self._specs.pop(deployment, None)
        return self._spec(deployment)


def _instant(given: Time | None, what: str) -> str | None:
    if given is None:
        return None
    return rows.timestamps(pd.Series([given]), what)[0]


def _bar(steps: range, wanted: bool) -> Iterable[int]:
    if not wanted:
        return steps
    try:
        from tqdm.auto import tqdm
    except ImportError:
        warnings.warn(
            'progress=True shows nothing without tqdm: pip install "fairlead[progress]"', FairleadWarning, stacklevel=3
        )
        return steps
    bar: Iterable[int] = tqdm(steps, unit="batch")
    return bar
