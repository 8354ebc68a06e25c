"""The error tree.

    MlgitException                    INTERNAL_ERROR
    ├── InvalidParameterValue         INVALID_PARAMETER_VALUE
    │   └── FilterError                 (points at the offending place)
    ├── ResourceDoesNotExist          RESOURCE_DOES_NOT_EXIST
    │   └── NotARepository
    ├── ResourceAlreadyExists         RESOURCE_ALREADY_EXISTS
    ├── InvalidState                  INVALID_STATE
    │   └── PromotionRefused            (knows which guards failed)
    ├── Conflict                      RESOURCE_CONFLICT
    ├── Unsupported                   NOT_IMPLEMENTED
    ├── PermissionDenied              PERMISSION_DENIED
    │   └── UntrustedModel
    ├── StorageError                  RESOURCE_EXHAUSTED
    ├── RemoteUnavailable             TEMPORARILY_UNAVAILABLE
    ├── CorruptData                   DATA_LOSS
    └── MissingDependency             FAILED_PRECONDITION

Every error carries a message, MLflow's error code, and a hint: what to do next.
HTTP statuses are mapped here, once; exit codes in ``mlgit/cli/errors.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

# MLflow's error codes and the statuses its REST API gives them
# (mlflow.org/docs, REST API, and the table in docs/errors.md).
HTTP_STATUS = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "INVALID_STATE": 500,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "RESOURCE_CONFLICT": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL_ERROR": 500,
    "DATA_LOSS": 500,
    "FAILED_PRECONDITION": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}


class MlgitException(Exception):
    """The root of every error that mlgit raises on purpose.

    Args:
        message: What is wrong, one sentence, naming the thing.
        error_code: MLflow's name for the kind of error; the class's own by default.
        hint: What the person can do about it, or "" where nothing is known.
    """

    default_code = "INTERNAL_ERROR"

    def __init__(self, message: str, error_code: str | None = None, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code or self.default_code
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def get_http_status_code(self) -> int:
        """The HTTP status that MLflow's REST API answers with for this error."""
        return HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """The body of an error answer in MLflow's REST API."""
        return json.dumps({"error_code": self.error_code, "message": str(self)})


class InvalidParameterValue(MlgitException):
    """An argument that can't be right, whatever the repository holds."""

    default_code = "INVALID_PARAMETER_VALUE"


class FilterError(InvalidParameterValue):
    """A search expression that doesn't parse or doesn't mean anything.

    Args:
        problem: What is wrong, one sentence.
        text: The whole expression.
        position: Offset of the offending place in ``text``, in characters.
        hint: What would be right.
    """

    def __init__(self, problem: str, text: str, position: int, *, hint: str = "") -> None:
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position)
        line = text[start : end if end >= 0 else len(text)]
        super().__init__(f"{problem}\n  {line}\n  {' ' * (position - start)}^", hint=hint)
        self.problem = problem
        self.text = text
        self.position = position


class ResourceDoesNotExist(MlgitException):
    """A run, experiment, artifact or revision that isn't there."""

    default_code = "RESOURCE_DOES_NOT_EXIST"


class NotARepository(ResourceDoesNotExist):
    """No Git repository where one was looked for."""


class ResourceAlreadyExists(MlgitException):
    """A name that is taken."""

    default_code = "RESOURCE_ALREADY_EXISTS"


class InvalidState(MlgitException):
    """Right in itself, but not in the state that things are in."""

    default_code = "INVALID_STATE"


class PromotionRefused(InvalidState):
    """A version that doesn't meet what is asked of it, or a person who may not.

    Args:
        message: What was refused, and each guard that failed, with its figures.
        guards: All guards that were checked (``mlgit.registry.guards.Result``).
        hint: What can be done.
    """

    def __init__(self, message: str, guards: Sequence[object] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.guards = list(guards)


class Conflict(MlgitException):
    """Somebody else changed the same thing first."""

    default_code = "RESOURCE_CONFLICT"


class Unsupported(MlgitException):
    """A format, URI or feature that this version can't read or do."""

    default_code = "NOT_IMPLEMENTED"


class PermissionDenied(MlgitException):
    """The file system, a remote or a rule of the repository's refused."""

    default_code = "PERMISSION_DENIED"


class UntrustedModel(PermissionDenied):
    """A registered model that isn't signed, or whose signatures don't count."""


class StorageError(MlgitException):
    """The disk is full or failing."""

    default_code = "RESOURCE_EXHAUSTED"


class RemoteUnavailable(MlgitException):
    """A remote that doesn't answer, or broke off, however often it was asked."""

    default_code = "TEMPORARILY_UNAVAILABLE"


class CorruptData(MlgitException):
    """Bytes that aren't what their name, checksum or format says."""

    default_code = "DATA_LOSS"


class MissingDependency(MlgitException):
    """A package that is needed for this and isn't installed."""

    default_code = "FAILED_PRECONDITION"


# Programs written for MLflow catch it by this name.
MlflowException = MlgitException


def from_os_error(error: OSError, doing: str) -> MlgitException:
    """The mlgit error for what the operating system refused.

    Args:
        error: What was raised.
        doing: What was being done, as in "write the run's journal".
    """
    import errno

    what = f"Can't {doing}: {error.strerror or error}"
    if error.filename:
        what += f" ({error.filename})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            what, hint="free some space and repeat: everything logged before is kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(
            what, hint="the repository can't be written to by this user; reading still works"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG):
        return InvalidParameterValue(what)
    return StorageError(what, "INTERNAL_ERROR")
