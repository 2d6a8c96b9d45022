"""Which operation a request is: a table with every operation of S3. What is in it and not offered answers NotImplemented."""

from dataclasses import dataclass
from functools import cache

from apis.s3.errors import Refused
from apis.s3.request import Request

# Operation → method, what it is about, and the parameters (or headers, after @) that tell it from others there.
TABLE: dict[str, str] = {
    "ListBuckets": "GET service",
    "ListDirectoryBuckets": "GET service",
    "WriteGetObjectResponse": "POST service @x-amz-request-route",
    "CreateBucket": "PUT bucket",
    "CreateBucketMetadataConfiguration": "POST bucket metadataConfiguration",
    "CreateBucketMetadataTableConfiguration": "POST bucket metadataTable",
    "CreateSession": "GET bucket session",
    "DeleteBucket": "DELETE bucket",
    "DeleteBucketAnalyticsConfiguration": "DELETE bucket analytics",
    "DeleteBucketCors": "DELETE bucket cors",
    "DeleteBucketEncryption": "DELETE bucket encryption",
    "DeleteBucketIntelligentTieringConfiguration": "DELETE bucket intelligent-tiering",
    "DeleteBucketInventoryConfiguration": "DELETE bucket inventory",
    "DeleteBucketLifecycle": "DELETE bucket lifecycle",
    "DeleteBucketMetadataConfiguration": "DELETE bucket metadataConfiguration",
    "DeleteBucketMetadataTableConfiguration": "DELETE bucket metadataTable",
    "DeleteBucketMetricsConfiguration": "DELETE bucket metrics",
    "DeleteBucketOwnershipControls": "DELETE bucket ownershipControls",
    "DeleteBucketPolicy": "DELETE bucket policy",
    "DeleteBucketReplication": "DELETE bucket replication",
    "DeleteBucketTagging": "DELETE bucket tagging",
    "DeleteBucketWebsite": "DELETE bucket website",
    "DeleteObjects": "POST bucket delete",
    "DeletePublicAccessBlock": "DELETE bucket publicAccessBlock",
    "GetBucketAbac": "GET bucket abac",
    "GetBucketAccelerateConfiguration": "GET bucket accelerate",
    "GetBucketAcl": "GET bucket acl",
    "GetBucketAnalyticsConfiguration": "GET bucket analytics id",
    "GetBucketCors": "GET bucket cors",
    "GetBucketEncryption": "GET bucket encryption",
    "GetBucketIntelligentTieringConfiguration": "GET bucket intelligent-tiering id",
    "GetBucketInventoryConfiguration": "GET bucket inventory id",
    "GetBucketLifecycleConfiguration": "GET bucket lifecycle",
    "GetBucketLifecycle": "GET bucket lifecycle",
    "GetBucketLocation": "GET bucket location",
    "GetBucketLogging": "GET bucket logging",
    "GetBucketMetadataConfiguration": "GET bucket metadataConfiguration",
    "GetBucketMetadataTableConfiguration": "GET bucket metadataTable",
    "GetBucketMetricsConfiguration": "GET bucket metrics id",
    "GetBucketNotificationConfiguration": "GET bucket notification",
    "GetBucketNotification": "GET bucket notification",
    "GetBucketOwnershipControls": "GET bucket ownershipControls",
    "GetBucketPolicy": "GET bucket policy",
    "GetBucketPolicyStatus": "GET bucket policyStatus",
    "GetBucketReplication": "GET bucket replication",
    "GetBucketRequestPayment": "GET bucket requestPayment",
    "GetBucketTagging": "GET bucket tagging",
    "GetBucketVersioning": "GET bucket versioning",
    "GetBucketWebsite": "GET bucket website",
    "GetObjectLockConfiguration": "GET bucket object-lock",
    "GetPublicAccessBlock": "GET bucket publicAccessBlock",
    "HeadBucket": "HEAD bucket",
    "ListBucketAnalyticsConfigurations": "GET bucket analytics",
    "ListBucketIntelligentTieringConfigurations": "GET bucket intelligent-tiering",
    "ListBucketInventoryConfigurations": "GET bucket inventory",
    "ListBucketMetricsConfigurations": "GET bucket metrics",
    "ListMultipartUploads": "GET bucket uploads",
    "ListObjectVersions": "GET bucket versions",
    "ListObjects": "GET bucket",
    "ListObjectsV2": "GET bucket list-type",
    "PostObject": "POST bucket",
    "PutBucketAbac": "PUT bucket abac",
    "PutBucketAccelerateConfiguration": "PUT bucket accelerate",
    "PutBucketAcl": "PUT bucket acl",
    "PutBucketAnalyticsConfiguration": "PUT bucket analytics",
    "PutBucketCors": "PUT bucket cors",
    "PutBucketEncryption": "PUT bucket encryption",
    "PutBucketIntelligentTieringConfiguration": "PUT bucket intelligent-tiering",
    "PutBucketInventoryConfiguration": "PUT bucket inventory",
    "PutBucketLifecycleConfiguration": "PUT bucket lifecycle",
    "PutBucketLifecycle": "PUT bucket lifecycle",
    "PutBucketLogging": "PUT bucket logging",
    "PutBucketMetricsConfiguration": "PUT bucket metrics",
    "PutBucketNotificationConfiguration": "PUT bucket notification",
    "PutBucketNotification": "PUT bucket notification",
    "PutBucketOwnershipControls": "PUT bucket ownershipControls",
    "PutBucketPolicy": "PUT bucket policy",
    "PutBucketReplication": "PUT bucket replication",
    "PutBucketRequestPayment": "PUT bucket requestPayment",
    "PutBucketTagging": "PUT bucket tagging",
    "PutBucketVersioning": "PUT bucket versioning",
    "PutBucketWebsite": "PUT bucket website",
    "PutObjectLockConfiguration": "PUT bucket object-lock",
    "PutPublicAccessBlock": "PUT bucket publicAccessBlock",
    "UpdateBucketMetadataAnnotationTableConfiguration": "PUT bucket metadataAnnotationTable",
    "UpdateBucketMetadataInventoryTableConfiguration": "PUT bucket metadataInventoryTable",
    "UpdateBucketMetadataJournalTableConfiguration": "PUT bucket metadataJournalTable",
    "AbortMultipartUpload": "DELETE object uploadId",
    "CompleteMultipartUpload": "POST object uploadId",
    "CopyObject": "PUT object @x-amz-copy-source",
    "CreateMultipartUpload": "POST object uploads",
    "DeleteObject": "DELETE object",
    "DeleteObjectAnnotation": "DELETE object annotation",
    "DeleteObjectTagging": "DELETE object tagging",
    "GetObject": "GET object",
    "GetObjectAcl": "GET object acl",
    "GetObjectAnnotation": "GET object annotation annotationName",
    "GetObjectAttributes": "GET object attributes",
    "GetObjectLegalHold": "GET object legal-hold",
    "GetObjectRetention": "GET object retention",
    "GetObjectTagging": "GET object tagging",
    "GetObjectTorrent": "GET object torrent",
    "HeadObject": "HEAD object",
    "ListObjectAnnotations": "GET object annotation",
    "ListParts": "GET object uploadId",
    "PutObject": "PUT object",
    "PutObjectAcl": "PUT object acl",
    "PutObjectAnnotation": "PUT object annotation",
    "PutObjectLegalHold": "PUT object legal-hold",
    "PutObjectRetention": "PUT object retention",
    "PutObjectTagging": "PUT object tagging",
    "RenameObject": "PUT object renameObject",
    "RestoreObject": "POST object restore",
    "SelectObjectContent": "POST object select",
    "UpdateObjectEncryption": "PUT object encryption",
    "UploadPart": "PUT object partNumber uploadId",
    "UploadPartCopy": "PUT object partNumber uploadId @x-amz-copy-source",
}
# These only say more of an operation that others have told already.
_WEAK = frozenset({"id", "list-type", "annotationName", "partNumber"})


@dataclass(frozen=True)
class Route:
    """One line of the table. Of two for the same request the one with more marks counts, then the first."""

    name: str
    method: str
    about: str
    params: frozenset[str]
    headers: frozenset[str]

    def fits(self, request: Request, about: str) -> bool:
        """Whether the request can be this operation."""
        return (
            self.method == request.method and self.about == about and all(name in request.query for name in self.params)
            and all(request.header(name) for name in self.headers)
        )


@cache
def routes() -> tuple[Route, ...]:
    """The table, the most special lines first."""
    found = []
    for name, line in TABLE.items():
        method, about, *marks = line.split()
        params = frozenset(mark for mark in marks if not mark.startswith("@"))
        found.append(Route(name, method, about, params, frozenset(mark[1:] for mark in marks if mark.startswith("@"))))
    return tuple(sorted(found, key=lambda each: -len(each.params) - len(each.headers)))


@cache
def subresources() -> frozenset[str]:
    """Parameters that make another operation of a request, wherever they stand."""
    return frozenset(name for route in routes() for name in route.params) - _WEAK


def operation(request: Request) -> str:
    """The name of the operation. Raises Refused MethodNotAllowed: above all `DELETE /bucket?whatever` must not be DeleteBucket."""
    about = "object" if request.key else "bucket" if request.bucket else "service"
    if request.path == "/WriteGetObjectResponse" and request.method == "POST" and request.header("x-amz-request-route"):
        about = "service"
    for route in routes():
        if route.fits(request, about):
            strange = subresources().intersection(request.query) - route.params
            if request.method in ("PUT", "POST") and "partNumber" in request.query and "partNumber" not in route.params:
                strange |= {"partNumber"}
            if not strange:
                return route.name
    raise Refused("MethodNotAllowed", Method=request.method, ResourceType=about.upper(), headers={"Allow": allowed(request, about)})


def allowed(request: Request, about: str) -> str:
    """The methods that there are for it."""
    asked = subresources().intersection(request.query)
    return ", ".join(sorted({route.method for route in routes() if route.about == about and route.params - _WEAK == asked}))
