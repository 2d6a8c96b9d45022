"""Refusals as S3 says them: one table from our codes to S3's, one from S3's codes to HTTP."""

from collections.abc import Mapping
from typing import Any, ClassVar

from apps.common.errors import CloudError

# S3's code → status and, where we do not say it better, its sentence.
CODES: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (
        403, "CORSResponse: This CORS request is not allowed: no rule of the bucket allows this origin, method and these headers.",
    ),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "The authorization parameters of the query are malformed."),
    "BadDigest": (400, "The Content-MD5 or checksum value that you specified did not match what we received."),
    "BadRequest": (400, "Insufficient information. Origin request header needed."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available. Select a different name and try again."),
    "BucketAlreadyOwnedByYou": (409, "Your previous request to create the named bucket succeeded and you already own it."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "ConditionalRequestConflict": (409, "Another request changed this key at the same time: try again."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size."),
    "ExpiredToken": (400, "The provided token has expired."),
    "IllegalLocationConstraintException": (400, "The location constraint is incompatible with the region of this endpoint."),
    "IllegalVersioningConfigurationException": (400, "The versioning configuration specified in the request is invalid."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length header."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The access key ID that you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "InvalidDigest": (400, "The Content-MD5 or checksum value that you specified is not valid."),
    "InvalidObjectState": (403, "The operation is not valid for the object's state."),
    "InvalidPart": (400, "One or more of the specified parts could not be found. The part may not have been uploaded, or its ETag did not match."),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order. The parts list must be specified in order by part number."),
    "InvalidPolicyDocument": (400, "The content of the form does not meet the conditions specified in the policy document."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "The request is not valid."),
    "InvalidStorageClass": (400, "The storage class you specified is not valid."),
    "InvalidTag": (400, "The tag provided was not a valid tag."),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedACLError": (400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MalformedPOSTRequest": (400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": (400, "The policy is not a valid document."),
    "MalformedTrailerError": (400, "The request contained trailing data that was not well-formed or did not conform to our published schema."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MaxPostPreDataLengthExceededError": (400, "Your POST request fields preceding the upload file were too large."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingRequestBodyError": (400, "Request Body is empty"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchTagSet": (404, "The TagSet does not exist"),
    "NoSuchUpload": (
        404, "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NotImplemented": (501, "A header or operation you provided implies functionality that is not implemented"),
    "NotModified": (304, "Not Modified"),
    "OperationAborted": (409, "A conflicting conditional operation is currently in progress against this resource. Try again."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "QuotaExceeded": (403, "The quota is used up."),
    "RequestHeaderSectionTooLarge": (400, "Your request header and query parameters used to make the request exceed the maximum allowed size."),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "ServiceUnavailable": (503, "Reduce your request rate."),
    "SignatureDoesNotMatch": (
        403, "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed"),
    "UnresolvableGrantByEmailAddress": (400, "The email address you provided does not match any account on record."),
    "XAmzContentSHA256Mismatch": (400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
    "XAmzInsufficientStorage": (507, "There is no space left to store this."),
}
_BY_KIND = {
    "invalid": "InvalidArgument", "unauthenticated": "AccessDenied", "forbidden": "AccessDenied", "not_found": "NoSuchKey",
    "conflict": "OperationAborted", "invalid_state": "InvalidRequest", "quota_exceeded": "QuotaExceeded", "too_many": "SlowDown",
    "no_capacity": "ServiceUnavailable", "unavailable": "ServiceUnavailable", "error": "InternalError",
}
# Codes of services that say more than their kind.
_BY_CODE = {
    "auth.access_key": "InvalidAccessKeyId",
    "auth.signature": "SignatureDoesNotMatch",
    "bucket.name": "InvalidBucketName",
    "bucket.not_empty": "BucketNotEmpty",
    "bucket.not_found": "NoSuchBucket",
    "bucket.policy": "MalformedPolicy",
    "bucket.taken": "BucketAlreadyExists",
    "bucket.versioning": "IllegalVersioningConfigurationException",
    "bucket.yours": "BucketAlreadyOwnedByYou",
    "acl.invalid": "MalformedACLError",
    "checksum.algorithm": "InvalidRequest",
    "checksum.type": "InvalidRequest",
    "object.checksum": "BadDigest",
    "object.condition": "PreconditionFailed",
    "object.copy_to_itself": "InvalidRequest",
    "object.incomplete": "IncompleteBody",
    "object.is_marker": "MethodNotAllowed",
    "object.md5": "BadDigest",
    "object.not_found": "NoSuchKey",
    "object.not_modified": "NotModified",
    "object.range": "InvalidRange",
    "object.sha256": "XAmzContentSHA256Mismatch",
    "object.size": "InvalidRequest",
    "object.storage_full": "XAmzInsufficientStorage",
    "object.too_large": "EntityTooLarge",
    "object.too_many": "MalformedXML",
    "part.missing": "InvalidPart",
    "part.order": "InvalidPartOrder",
    "part.too_small": "EntityTooSmall",
    "tags.invalid": "InvalidTag",
    "upload.empty": "MalformedXML",
    "upload.not_found": "NoSuchUpload",
    "version.not_found": "NoSuchVersion",
}
# What is wrong with it is only that it is too much.
_TOO_MUCH = {"object.metadata": "MetadataTooLarge", "key.invalid": "KeyTooLongError"}


class Refused(CloudError):
    """A refusal that only S3 knows, by S3's own code. `details` become elements of the answer beside Code and Message."""

    kind: ClassVar[str] = "refused"

    def __init__(self, code: str, message: str = "", *, headers: Mapping[str, str] | None = None, **details: Any) -> None:
        self.status, said = CODES[code]
        super().__init__(code, message or said, **details)
        self.headers = dict(headers or {})


def refusal(error: CloudError) -> Refused:
    """What a service said, in S3's words."""
    if isinstance(error, Refused):
        return error
    too_much = error.facts.get("too_large") or error.facts.get("too_long")
    code = (_TOO_MUCH.get(error.code) if too_much else None) or _BY_CODE.get(error.code) or _BY_KIND.get(error.kind, "InternalError")
    headers = {}
    if wait := error.facts.get("retry_after_s"):
        headers["Retry-After"] = str(int(wait) + 1)
    if marker := error.facts.get("marker"):  # what hides the object is told
        headers |= {"x-amz-delete-marker": "true", "x-amz-version-id": str(marker)}
    elif error.code == "object.is_marker":
        headers |= {"x-amz-delete-marker": "true", "Allow": "DELETE"}
    return Refused(code, error.message, headers=headers)
