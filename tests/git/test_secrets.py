"""What is taken for a secret, and above all what isn't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgit.git.secrets import mask_command, mask_url, secret_content, secret_name, secret_tokens

BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a1B2c3D4e5F6g7H8i9J0"
HEX = "0123456789abcdef0123456789abcdef"
KEY_LINES = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"

# Put together here, so that this file holds nothing that a scanner takes for a secret.
SECRETS = {
    "private key": f"-----BEGIN {'RSA PRIVATE'} KEY-----\n{KEY_LINES}\n",
    "AWS key id": "AKIA" + "Q3EGRTX7WYZ2MNB4",
    "AWS secret key": "aws_secret_access_key = " + BODY[:40],
    "GitHub token": "gh" + "s_" + BODY[:36],
    "GitLab token": "gl" + "pat-" + BODY[:20],
    "Slack token": "xo" + "xb-123456789012-" + BODY[:24],
    "Slack webhook": "https://hooks." + "slack.com/services/T12345678/B12345678/" + BODY[:24],
    "Hugging Face token": "h" + "f_" + BODY[:34],
    "OpenAI key": "s" + "k-proj-" + BODY[:48],
    "Anthropic key": "s" + "k-ant-api03-" + BODY[:60],
    "Google API key": "AI" + "za" + BODY[:35],
    "Google OAuth secret": "GOC" + "SPX-" + BODY[:28],
    "Google OAuth token": "ya" + "29." + BODY[:60],
    "Stripe key": "sk" + "_live_" + BODY[:24],
    "npm token": "np" + "m_" + BODY[:36],
    "PyPI token": "py" + "pi-AgE" + BODY[:60],
    "Databricks token": "da" + "pi" + HEX,
    "Azure key": "Account" + "Key=" + (BODY + BODY)[:86] + "==",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_content_of_every_kind(kind):
    for text in ("{}", "key = '{}'\n", 'x\r\n"{}"\r\n'):
        assert secret_content(text.format(SECRETS[kind]).encode()) == kind


@pytest.mark.parametrize(
    "block",
    [
        f"-----BEGIN {'OPENSSH PRIVATE'} KEY-----\r\n{KEY_LINES}\r\n",
        f"-----BEGIN {'PGP PRIVATE'} KEY BLOCK-----\nVersion: 1\n\n{KEY_LINES}\n",
        f'{{"private_key": "-----BEGIN {"PRIVATE"} KEY-----\\n{KEY_LINES}\\n"}}',
        f"-----BEGIN {'RSA PRIVATE'} KEY-----\nProc-Type: 4,ENCRYPTED\n\n{KEY_LINES}\n",
    ],
)
def test_forms_of_key_blocks(block):
    assert secret_content(block.encode()) == "private key"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----",
        'if line.startswith("-----BEGIN RSA PRIVATE KEY-----"):\n    raise',
        "-----BEGIN PUBLIC KEY-----\n" + KEY_LINES,
        "-----BEGIN CERTIFICATE-----\n" + KEY_LINES,
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "hf_" + "X" * 34,
        "hf_hub_download(repo_id, filename) and hf_transfer",
        "sk-" + "your-key-here",
        "sk-learn-contrib sk-image",
        "task-force-" + "a" * 50,
        "mask-proj-" + BODY[:48],
        "xoxb-",
        "dapi",
        "token = 'abc123'\npassword = 'hunter2'",
        "0123456789abcdef" * 4,
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "glpat-<your token>",
        "",
    ],
)
def test_harmless_content(text):
    assert secret_content(text.encode()) is None


@given(st.binary(max_size=4000))
def test_random_bytes_are_harmless(data):
    assert secret_content(data) is None


def test_tokens_tell_new_secrets_from_old():
    old, new = SECRETS["GitHub token"], SECRETS["npm token"]
    before, after = secret_tokens(old.encode()), secret_tokens(f"{old}\n{new}".encode())
    assert after - before == {new.encode()}


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "deploy/.env.production",
        "prod.env",
        "server.pem",
        "a/b/tls.KEY",
        "id_rsa",
        "id_ed25519_work",
        "cert.p12",
        "cert.pfx",
        ".netrc",
        ".pypirc",
        ".npmrc",
        "credentials",
        "credentials.json",
        ".aws/credentials",
        "home/.aws/config",
        ".ssh/config",
        "passwords.kdbx",
        "my-service-account.json",
        "gcp_service_account_key.json",
        "client_secret_123.json",
        ".streamlit/secrets.toml",
        "kaggle.json",
        ".docker/config.json",
    ],
)
def test_secret_names(path):
    assert secret_name(path.encode())


@pytest.mark.parametrize(
    "path",
    [
        ".env.example",
        ".env.sample",
        ".env.template",
        "example.env.md",
        ".env.local.example",
        ".envrc.md",
        "id_rsa.pub",
        "credentials.py",
        "src/credentials_helper.ts",
        "environment.yaml",
        "keys.csv",
        "monkey",
        "tokenizer.json",
        "config.json",
        "secrets.py",
        "train.py",
        "environment.env.example",
        "docs/credentials.md",
        "caf\udce9.txt",
    ],
)
def test_harmless_names(path):
    assert secret_name(path.encode("utf-8", "surrogateescape")) is None


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://user:pw@github.com/o/r.git", "https://github.com/o/r.git"),
        ("https://token@host:8443/r", "https://host:8443/r"),
        ("https://h/p?token=abc&page=2", "https://h/p?token=***&page=2"),
        ("https://h/p?access_token=a&api-key=b#x", "https://h/p?access_token=***&api-key=***#x"),
        ("https://h/p#access_token=a", "https://h/p#access_token=***"),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=ab12&X-Amz-Date=1",
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=***&X-Amz-Date=1",
        ),
        ("https://acc.blob.core.windows.net/c?sv=1&sig=Ab%2B", None),
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("ssh://git@github.com/o/r.git", "ssh://github.com/o/r.git"),
        ("s3://bucket/key?versionId=3", "s3://bucket/key?versionId=3"),
        ("file:///data/a b.csv", "file:///data/a b.csv"),
        ("/data/x.csv", "/data/x.csv"),
        ("http://[broken", "http://[broken"),
        ("", ""),
    ],
)
def test_mask_url(url, masked):
    found = mask_url(url)
    assert found == masked if masked is not None else "Ab%2B" not in found
    assert mask_url(found) == found


@pytest.mark.parametrize(
    ("command", "masked"),
    [
        ("train.py --token abc --lr 0.1", "train.py --token *** --lr 0.1"),
        ("train.py --api-key=abc", "train.py --api-key=***"),
        ("train.py --hf_token abc", "train.py --hf_token ***"),
        ("env DB_PASSWORD=abc OPENAI_API_KEY=x python t.py", None),
        ("train.py --password --verbose", "train.py --password --verbose"),
        ("train.py --token", "train.py --token"),
        ("curl https://u:p@h/x?token=t", "curl https://h/x?token=***"),
        ("train.py --repo=https://u:p@h/x", "train.py --repo=https://h/x"),
        ("train.py --pad-token x --max-tokens 5", "train.py --pad-token x --max-tokens 5"),
        ("train.py --author me --monkey=1", "train.py --author me --monkey=1"),
        ("train.py lr=0.1 model.name=x", "train.py lr=0.1 model.name=x"),
        ("train.py wandb.api_key=abc", "train.py wandb.api_key=***"),
    ],
)
def test_mask_command(command, masked):
    found = mask_command(command.split())
    assert len(found) == len(command.split())
    if masked is None:
        masked = "env DB_PASSWORD=*** OPENAI_API_KEY=*** python t.py"
    assert " ".join(found) == masked
    assert mask_command(found) == found


def test_known_tokens_are_masked_wherever_they_stand():
    token = SECRETS["Hugging Face token"]
    assert mask_command(["login", token, f"--name=x{' '}{token}"]) == [
        "login",
        "***",
        "--name=x ***",
    ]
    assert mask_url(f"https://h/{token}/x") == "https://h/***/x"


@given(st.lists(st.text()))
def test_mask_command_never_fails(argv):
    assert len(mask_command(argv)) == len(argv)


@given(st.text())
def test_mask_url_never_fails(url):
    mask_url(url)
