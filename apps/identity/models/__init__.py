"""Tables of identity, all of them global."""

from apps.identity.models.catalog import Endpoint, Region, Service, StoredPolicy
from apps.identity.models.credentials import AccessRule, ApplicationCredential, Credential, Trust
from apps.identity.models.directory import DirectorySync
from apps.identity.models.projects import Project, ProjectAncestor, ProjectTag
from apps.identity.models.roles import Assignment, ImpliedRole, PolicyVersion, Role
from apps.identity.models.tokens import Token
from apps.identity.models.users import Group, GroupMember, User

__all__ = [
    "AccessRule", "ApplicationCredential", "Assignment", "Credential", "DirectorySync", "Endpoint", "Group",
    "GroupMember", "ImpliedRole", "PolicyVersion", "Project", "ProjectAncestor", "ProjectTag", "Region", "Role",
    "Service", "StoredPolicy", "Token", "Trust", "User",
]
