"""The actions that policies name, as S3 has them."""

from apps.objects.access.patterns import Pattern

# What is done to an object. Those that belong to operations that are not offered are known all the same: nobody ever asks them.
_ON_OBJECTS = """
    AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionTagging GetObject
    GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion
    GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
    InitiateReplication ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold
    PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags
    RestoreObject
"""
_ON_BUCKETS = """
    CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAcl
    GetBucketCORS GetBucketLocation GetBucketLogging GetBucketNotification GetBucketObjectLockConfiguration GetBucketOwnershipControls
    GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning
    GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
    GetMetricsConfiguration GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions
    PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl PutBucketCORS PutBucketLogging PutBucketNotification
    PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment
    PutBucketTagging PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration
    PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration PutReplicationConfiguration
"""
OF_OBJECTS, OF_BUCKETS = (frozenset(f"s3:{name}" for name in names.split()) for names in (_ON_OBJECTS, _ON_BUCKETS))
KNOWN = OF_OBJECTS | OF_BUCKETS
# Only a role in the bucket's project gives them: who could give itself the rest would need nothing else.
ON_POLICIES = frozenset({"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"})
# What tells of the content needs the right to read it, too.
_ALSO = {"s3:GetObjectAttributes": "s3:GetObject", "s3:GetObjectVersionAttributes": "s3:GetObjectVersion"}


def needed(action: str) -> tuple[str, ...]:
    """All that must be allowed to do this."""
    return (action, _ALSO[action]) if action in _ALSO else (action,)


def named(pattern: Pattern) -> frozenset[str]:
    """The known actions that a pattern means."""
    return frozenset(action for action in KNOWN if pattern.fits(action, {}))
