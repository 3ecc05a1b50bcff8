"""The one error that fairlead raises, and its warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class FairleadError(Exception):
    """Something the server refused, or something this package refuses before it asks the server.

    ``str(error)`` says what was expected, what came and how to fix it.

    Attributes:
        message: the text without the hint.
        code: machine-readable, the same codes as the server's: ``invalid``, ``not_found``, ``conflict``,
            ``too_large``, ``exhausted``, ``unsupported``, ``unavailable``, ``deadline``, ``internal``.
        hint: how to fix it; may be empty.
        status: the HTTP status, or None when no answer came.
        partial: the rows answered before a long :meth:`fairlead.Client.predict` failed, or None. Those rows are
            recorded by the server: send only the others again.

    Example:
        >>> try:
        ...     client.predict("flights", df)
        ... except fairlead.FairleadError as e:
        ...     if e.code == "not_found":
        ...         fairlead.push(model, name="flights", reference=train)
    """

    def __init__(self, message: str, *, code: str = "invalid", hint: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.status = status
        self.partial: pd.DataFrame | None = None

    def __str__(self) -> str:
        if self.hint and self.hint not in self.message:
            return f"{self.message} ({self.hint})"
        return self.message


class FairleadWarning(UserWarning):
    """Something worth reading that did not stop the work, for example a note of the server about a pushed model."""
