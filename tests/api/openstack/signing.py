"""Requests that botocore signs, as services describe them to `/ec2tokens` and `/s3tokens`."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from botocore.auth import HmacV1Auth, SigV2Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_PARAMS = {"Action": "DescribeInstances", "Version": "2016-11-15"}
_HOST = "cloud.example:8600"


class Signer:
    """An access key as the API showed it, and what is signed with it."""

    def __init__(self, key: dict[str, Any]) -> None:
        self._access = key["access"]
        self._credentials = Credentials(key["access"], key["secret"])

    def ec2(self, *, minutes: int = 0) -> dict[str, Any]:
        """Version 4; `minutes`: how long ago."""
        query = "&".join(f"{name}={quote(value)}" for name, value in _PARAMS.items())
        request = AWSRequest("GET", f"https://{_HOST}/ec2?{query}", headers={"Host": _HOST})
        stamp = datetime.now(UTC) - timedelta(minutes=minutes)
        request.context["timestamp"] = f"{stamp:%Y%m%dT%H%M%SZ}"
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        auth = SigV4Auth(self._credentials, "ec2", "RegionOne")
        signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        signed = auth.signed_headers(auth.headers_to_sign(request))
        authorization = f"AWS4-HMAC-SHA256 Credential={auth.scope(request)}, SignedHeaders={signed}, Signature={signature}"
        return {
            "access": self._access, "signature": signature, "host": _HOST, "verb": "GET", "path": "/ec2", "params": dict(_PARAMS),
            "headers": {**dict(request.headers.items()), "Authorization": authorization},
            "body_hash": hashlib.sha256(b"").hexdigest(),
        }

    def ec2_version_2(self) -> dict[str, Any]:
        """As older clients do."""
        request = AWSRequest("POST", f"https://{_HOST}/ec2", data=dict(_PARAMS))
        SigV2Auth(self._credentials).add_auth(request)
        params = dict(request.data)
        return {
            "access": self._access, "signature": params.pop("Signature"), "host": _HOST, "verb": "POST", "path": "/ec2", "params": params,
        }

    def s3(self) -> dict[str, Any]:
        """Version 4, as the text that was signed."""
        request = AWSRequest("GET", f"https://{_HOST}/bucket/key", headers={"Host": _HOST})
        request.context["timestamp"] = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        auth = SigV4Auth(self._credentials, "s3", "RegionOne")
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return self._text(text, auth.signature(text, request))

    def s3_version_2(self) -> dict[str, Any]:
        """As older clients do."""
        text = "GET\n\n\nFri, 20 Nov 2026 10:00:00 GMT\n/bucket/key"
        return self._text(text, HmacV1Auth(self._credentials).sign_string(text))

    def _text(self, text: str, signature: str) -> dict[str, Any]:
        return {"access": self._access, "signature": signature, "token": base64.urlsafe_b64encode(text.encode()).decode()}
