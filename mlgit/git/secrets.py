"""What looks like a secret, by a file's name, its content, or its place in a command or URL.

A pushed run is as public as its repository, so these rules decide what a run may record. They
aim at few false alarms: a rule needs a form that a token's issuer documents, and a body that
varies as a real token's does, so that `xxxx` placeholders and documented examples pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

MASK = "***"

# The content of a larger file is looked at up to here.
_SCANNED = 8 << 20

_NAMES = (
    ".env",
    ".env.*",
    ".envrc",
    ".vault_pass*",
    "*.env",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    ".s3cfg",
    ".boto",
    ".databrickscfg",
    "kaggle.json",
    "credentials*",
    ".credentials*",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "client_secret*.json",
    "*service-account*.json",
    "*service_account*.json",
    "*serviceaccount*.json",
    "application_default_credentials.json",
)
_PATHS = (".aws/*", ".ssh/*", ".gnupg/*", ".docker/config.json", ".kube/config")
# Public by nature, or the form that a person fills in.
_HARMLESS = ("*.pub", "*.example", "*.sample", "*.template", "*.dist", "*.tmpl", "*.md", "*.rst")
_ENV_FORMS = {"example", "sample", "template", "dist", "tmpl", "default", "defaults", "schema"}
_SOURCE = (".py", ".pyi", ".ipynb", ".js", ".ts", ".tsx", ".go", ".rs", ".java", ".c", ".h", ".r")


class _Rule:
    """A kind of token: a literal that its text always holds, and its whole form."""

    def __init__(self, kind: str, literal: bytes, pattern: bytes) -> None:
        self.kind = kind
        self.literal = literal
        # A token inside a longer word is something else, such as base64 data.
        self._source = rb"(?<![A-Za-z0-9_])(?:" + pattern + rb")"

    def tokens(self, data: bytes) -> Iterator[bytes]:
        """Every match; the expression is compiled when the literal first turns up."""
        if self.literal in data:
            for found in re.finditer(self._source, data):
                yield found[0]


_KEY_BLOCK = (
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[rn])*"
    rb"(?:[A-Za-z-]+: [^\n\\]*(?:\s|\\[rn])+)*[A-Za-z0-9+/=]{32}"
)
_RULES = (
    _Rule("private key", b"PRIVATE KEY", _KEY_BLOCK),
    _Rule("AWS key id", b"AKIA", rb"AKIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _Rule("AWS key id", b"ASIA", rb"ASIA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    _Rule(
        "AWS secret key",
        b"aws_secret_access_key",
        rb"aws_secret_access_key[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    _Rule("GitHub token", b"gh", rb"gh[pousr]_[A-Za-z0-9]{36,}"),
    _Rule("GitHub token", b"github_pat_", rb"github_pat_[A-Za-z0-9_]{60,}"),
    _Rule("GitLab token", b"glpat-", rb"glpat-[A-Za-z0-9_-]{20,}"),
    _Rule("Slack token", b"xox", rb"xox[abeoprs]-[0-9]{6,}-[A-Za-z0-9-]{10,}"),
    _Rule(
        "Slack webhook",
        b"hooks.slack.com",
        rb"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
    ),
    _Rule("Hugging Face token", b"hf_", rb"hf_[A-Za-z0-9]{34,}(?![A-Za-z0-9_])"),
    _Rule("OpenAI key", b"T3BlbkFJ", rb"sk-[A-Za-z0-9_-]{10,}T3BlbkFJ[A-Za-z0-9_-]{16,}"),
    _Rule("OpenAI key", b"sk-", rb"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}"),
    _Rule("Anthropic key", b"sk-ant-", rb"sk-ant-[a-z0-9]{2,10}-[A-Za-z0-9_-]{40,}"),
    _Rule("Google API key", b"AIza", rb"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _Rule("Google OAuth secret", b"GOCSPX-", rb"GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])"),
    _Rule("Google OAuth token", b"ya29.", rb"ya29\.[A-Za-z0-9_-]{50,}"),
    _Rule("Stripe key", b"k_live_", rb"[sr]k_live_[A-Za-z0-9]{24,}"),
    _Rule("npm token", b"npm_", rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),
    _Rule("PyPI token", b"pypi-AgE", rb"pypi-AgE[A-Za-z0-9_-]{50,}"),
    _Rule("Databricks token", b"dapi", rb"dapi[0-9a-f]{32}(?![A-Za-z0-9])"),
    _Rule("Azure key", b"AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{86}=="),
)

_SECRET_WORD = re.compile(
    r"(?:^|[-_.])(?:"
    r"token|password|passwd|passphrase|pwd|secret|secrets|credential|credentials|auth"
    r"|api[-_.]?key|apikey|access[-_.]?key|private[-_.]?key|secret[-_.]?key|account[-_.]?key"
    r"|signature|sig|sas"
    r")$",
    re.IGNORECASE,
)
# Words that end as above but name a setting rather than hold a secret.
_PUBLIC_WORD = re.compile(
    r"(?:^|[-_.])(?:pad|eos|bos|unk|sep|cls|mask|max|min|num|stop|special|per|image|n)[-_.]token$",
    re.IGNORECASE,
)
# "Authorization: Bearer X", and "Password=X;" within one argument
_HEADER = re.compile(r"(?i)(\b(?:proxy-)?authorization\s*[:=]\s*)\S.*")
_PAIR = re.compile(r"([\w.-]+)\s*=\s*([^;&\s,'\"]+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>\\]+")
_QUERY_VALUE = re.compile(r"([^?&;=#]+)=([^&;#]*)")


def secret_name(path: bytes) -> str | None:
    """Why a file's name says that it holds a secret.

    Args:
        path: Relative to the worktree, ``/`` between parts.

    Returns:
        The pattern that matched, or None.
    """
    whole = path.decode("utf-8", "surrogateescape").lower()
    name = whole.rpartition("/")[2]
    if any(fnmatchcase(name, harmless) for harmless in _HARMLESS):
        return None
    if name.startswith(".env.") and name.rpartition(".")[2] in _ENV_FORMS:
        return None
    if _ENV_FORMS.intersection(name.split(".")[:-1]) and name.endswith(".env"):
        return None
    for pattern in _PATHS:
        if fnmatchcase(whole, pattern) or fnmatchcase(whole, "*/" + pattern):
            return pattern
    if name.endswith(_SOURCE):
        return None
    return next((pattern for pattern in _NAMES if fnmatchcase(name, pattern)), None)


def secret_content(data: bytes) -> str | None:
    """What kind of secret a file's content holds, such as "GitHub token", or None."""
    for kind, _ in _tokens(data):
        return kind
    return None


def secret_tokens(data: bytes) -> set[bytes]:
    """Every secret in a file's content, to tell new ones from those already committed."""
    return {token for _, token in _tokens(data)}


def mask_url(url: str) -> str:
    """A URL without user name, password, or query values that look like a token.

    Args:
        url: Any URL; text that isn't one is returned with known tokens masked.
    """
    from urllib.parse import urlsplit, urlunsplit  # slow to import, and seldom needed

    try:
        parts = urlsplit(url)
    except ValueError:
        return _mask_tokens(url)
    netloc = parts.netloc.rpartition("@")[2]
    query = _QUERY_VALUE.sub(_mask_query, parts.query)
    fragment = _QUERY_VALUE.sub(_mask_query, parts.fragment)
    if (netloc, query, fragment) != (parts.netloc, parts.query, parts.fragment):
        url = urlunsplit((parts.scheme, netloc, parts.path, query, fragment))
    return _mask_tokens(url)


def mask_urls(text: str) -> str:
    """Text whose URLs, wherever they stand in it, are masked as ``mask_url`` does."""
    return _URL.sub(lambda match: mask_url(match[0]), text)


def mask_command(argv: list[str]) -> list[str]:
    """A command line whose secrets are ``***``.

    Masked are the values of arguments named like a secret (``--api-key X``, ``--token=X``,
    ``DB_PASSWORD=X``), credentials in URLs, and anything in the form of a known token.

    Args:
        argv: The command and its arguments.

    Returns:
        A list of the same length.
    """
    masked: list[str] = []
    hide_next = False
    for argument in argv:
        if hide_next and not argument.startswith("--"):
            masked.append(MASK)
            hide_next = False
            continue
        name, equals, value = argument.partition("=")
        hide_next = argument.startswith("-") and not equals and _names_secret(argument.lstrip("-"))
        if equals and value and _names_secret(name.lstrip("-")):
            masked.append(f"{name}={MASK}")
        else:
            urls = _URL.sub(lambda found: mask_url(found[0]), argument)
            masked.append(_mask_tokens(_PAIR.sub(_mask_pair, _HEADER.sub(rf"\1{MASK}", urls))))
    return masked


def _tokens(data: bytes) -> Iterator[tuple[str, bytes]]:
    data = data[:_SCANNED]
    for rule in _RULES:
        for token in rule.tokens(data):
            # Documentation's examples repeat one letter or say so.
            if len(set(token[-24:])) >= 6 and b"EXAMPLE" not in token.upper():
                yield rule.kind, token


def _names_secret(name: str) -> bool:
    return bool(_SECRET_WORD.search(name)) and not _PUBLIC_WORD.search(name)


def _mask_pair(found: re.Match[str]) -> str:
    return f"{found[1]}={MASK}" if _names_secret(found[1]) else found[0]


def _mask_query(found: re.Match[str]) -> str:
    return f"{found[1]}={MASK}" if _names_secret(found[1]) else found[0]


def _mask_tokens(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    for token in sorted(secret_tokens(data), key=len, reverse=True):
        data = data.replace(token, MASK.encode())
    return data.decode("utf-8", "surrogatepass")
