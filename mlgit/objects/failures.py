"""What goes wrong with remotes: what may pass by itself, and what a person has to mend.

Drivers are known by the names of their errors, so that none has to be imported here.
"""

from __future__ import annotations

import errno

from mlgit.exceptions import (
    CorruptData,
    InvalidParameterValue,
    MissingDependency,
    MlgitException,
    PermissionDenied,
    RemoteUnavailable,
    ResourceDoesNotExist,
    StorageError,
    Unsupported,
    from_os_error,
)

# What S3 answers with a 400 that another attempt mends.
_PASSING_CODES = {
    "BadDigest",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
# Of this machine, or of who is asked: the same the next time.
_LASTING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSYS,
    errno.ELOOP,
}
_NO_CREDENTIALS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "SSOTokenLoadError",
    "DefaultCredentialsError",
    "RefreshError",
    "ClientAuthenticationError",
    "AuthenticationException",
    "BadAuthenticationType",
    "PasswordRequiredException",
}
_WRONG = {"ParamValidationError", "InvalidRegionError", "UnknownServiceError"}

# Which package brings the driver of a scheme that fsspec knows.
PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "adl": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "oss": "ossfs",
    "oci": "ocifs",
    "hdfs": "pyarrow",
    "webhdfs": "requests",
    "webdav": "webdav4",
    "webdavs": "webdav4",
    "dropbox": "dropboxdrivefs",
    "hf": "huggingface_hub",
    "box": "boxfs",
    "gdrive": "gdrivefs",
}


def _answer(error: BaseException | None) -> tuple[str, int]:
    """The code and HTTP status of a service's answer, found along the error's causes."""
    for _ in range(5):
        if error is None:
            break
        response = getattr(error, "response", None)
        if isinstance(response, dict) and "Error" in response:
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(response["Error"].get("Code", "")), int(status)
        # aiohttp's, Azure's, and gcsfs's; a "code" of others is something else.
        for name in ("status", "status_code", "code"):
            status = getattr(error, name, None)
            if name == "code" and type(error).__name__ != "HttpError":
                continue
            if isinstance(status, int) and 100 <= status < 600:
                return "", status
        error = error.__cause__
    return "", 0


def may_pass(error: BaseException) -> bool:
    """Whether the same thing may work when it is tried again."""
    if isinstance(error, MlgitException):
        return isinstance(error, CorruptData) and getattr(error, "in_transit", False)
    code, status = _answer(error)
    if status in (501, 505, 507):
        return False  # can't be done there; is full
    if code in _PASSING_CODES or status >= 500 or status in (408, 425, 429):
        return True
    if status >= 400:
        return False
    if isinstance(error, (FileNotFoundError, PermissionError, ImportError, TypeError)):
        return False
    if type(error).__name__ in _NO_CREDENTIALS | _WRONG:
        return False
    if isinstance(error, OSError) and error.errno in _LASTING:
        return False
    return not isinstance(error, (ValueError, AttributeError, LookupError, NotImplementedError))


def is_missing(error: BaseException) -> bool:
    """Whether it says that the object, not the bucket, isn't there."""
    code, status = _answer(error)
    if code == "NoSuchBucket":
        return False
    return isinstance(error, FileNotFoundError) or status == 404


def explain(error: Exception, doing: str, where: str, scheme: str) -> MlgitException:
    """The mlgit error for what a driver raised.

    Args:
        error: What was raised.
        doing: What was being done, as in "upload an object".
        where: The remote, for a person: its name or URL without credentials.
        scheme: Of its URL.
    """
    if isinstance(error, MlgitException):
        return error
    code, status = _answer(error)
    text = " ".join(str(error).split()) or type(error).__name__
    what = f"Can't {doing} ({where}): {text}"
    if isinstance(error, ImportError):
        return missing_driver(scheme, where)
    if code == "NoSuchBucket":
        return ResourceDoesNotExist(
            f"The bucket of {where} doesn't exist",
            hint="make it, or correct the URL: mlgit remote add --force NAME URL",
        )
    if type(error).__name__ in _NO_CREDENTIALS:
        return PermissionDenied(
            f"No credentials for {where}: {text}",
            hint="set them as the driver looks for them (for S3: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or ~/.aws), or mlgit remote add --local -o KEY=VALUE",
        )
    if status in (401, 403) or (isinstance(error, PermissionError) and not error.filename):
        return PermissionDenied(
            f"{where} refuses these credentials to {doing}: {text}",
            hint="check which credentials are in use, and what they may do there",
        )
    if status == 507 or "StorageFull" in code:
        return StorageError(f"No space left at {where}: {text}", hint="free some space there")
    if isinstance(error, FileNotFoundError):
        return ResourceDoesNotExist(what, hint="check the remote's URL: mlgit remote list")
    if isinstance(error, NotImplementedError):
        return Unsupported(f"Can't {doing} ({where}): {scheme}:// can't do that")
    if isinstance(error, (TypeError, ValueError)) or type(error).__name__ in _WRONG:
        return InvalidParameterValue(what, hint="check the remote's URL and options")
    if isinstance(error, PermissionError):
        return PermissionDenied(
            f"This user may not {doing} ({where}): {text}",
            hint="whoever owns it can give the right: chmod, chgrp, or a group of the team's",
        )
    if isinstance(error, OSError) and error.errno in _LASTING and not status:
        return from_os_error(error, f"{doing} ({where})")
    return RemoteUnavailable(what, hint="repeat the command: it goes on where this stopped")


def missing_driver(scheme: str, where: str) -> MissingDependency:
    """The error for a scheme whose driver isn't installed."""
    package = PACKAGES.get(scheme)
    hint = f"pip install {package}" if package else "install the fsspec driver for it"
    return MissingDependency(
        f"{where} needs the driver for {scheme}://, which isn't installed", hint=hint
    )
