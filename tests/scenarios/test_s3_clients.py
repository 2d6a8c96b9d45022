"""What people have on their machines: boto3, aws, s3cmd and rclone, as they are, against the S3 process as it really runs."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudsite.launcher.stack import Stack

pytestmark = pytest.mark.timeout(600)
MIB = 1024**2
FILES = 1000
# One client has all of them in any form.
fewer = pytest.mark.parametrize("tree", [100, pytest.param(FILES, marks=pytest.mark.slow)], ids=["short", "long"], indirect=True)


@dataclass(frozen=True)
class Key:
    """Whose key a client has; `user`: the canonical id, `project`: as policies name it."""

    access: str
    secret: str
    user: str
    project: str


@dataclass(frozen=True)
class Tool:
    """A client; `run` calls it with arguments, and returns what it says, with its errors if it may fail. `code`: with which it must
    end; None: with any."""

    path: str
    env: dict[str, str]
    usual: tuple[str, ...] = ()

    def run(self, *arguments: str, code: int | None = 0) -> str:
        done = subprocess.run([self.path, *self.usual, *arguments], env=self.env, capture_output=True, text=True, timeout=400)
        if code is not None:
            assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout if code == 0 else done.stdout + done.stderr


Make = Callable[[str, Key], Tool]


def found(name: str) -> str:
    """Where a client is: beside our Python, or on the path."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}") or ""


def needs(name: str, hint: str) -> Any:
    return pytest.mark.skipif(not found(name), reason=f"{name} is not installed ({hint})")


with_aws = needs("aws", "the package awscli of requirements-dev.txt")
with_s3cmd = needs("s3cmd", "Debian: s3cmd")
with_rclone = needs("rclone", "Debian: rclone")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    database = "sqlite" if request.config.getoption("--sqlite") else "postgresql"
    var = tmp_path_factory.mktemp("clients")
    with Stack(var, database=database, s3=True) as running:  # type: ignore[arg-type]
        running.manage("quota_set", "--default", "object_bytes=-1", "buckets=-1", check=True)
        yield running
    shutil.rmtree(var / "objects")  # gibibytes, and pytest would keep them


def made_key(stack: Stack, user: str, project: str) -> Key:
    key = json.loads(stack.manage("access_key_create", user, "--project", project, "--json", check=True).stdout)
    made = Key(key["access"], key["secret"], "", f"arn:aws:iam::{key['project_id']}:root")
    return replace(made, user=client(stack, made).list_buckets()["Owner"]["ID"])


@pytest.fixture(scope="module")
def ann(stack: Stack) -> Key:
    """A member of the project demo."""
    stack.manage("user_create", "ann", "--no-password", check=True)
    stack.manage("role_assign", "member", "--user", "ann", "--project", "demo", check=True)
    return made_key(stack, "ann", "demo")


@pytest.fixture(scope="module")
def bob(stack: Stack) -> Key:
    """A member of another project."""
    stack.manage("project_create", "bobs", check=True)
    stack.manage("user_create", "bob", "--no-password", check=True)
    stack.manage("role_assign", "member", "--user", "bob", "--project", "bobs", check=True)
    return made_key(stack, "bob", "bobs")


@pytest.fixture(scope="module")
def tool(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`tool("aws", ann)`: the client with Ann's key, and without anything that this machine has set up for it."""

    def make(name: str, key: Key) -> Tool:
        home, host = tmp_path_factory.mktemp(name), urlsplit(stack.s3_url).netloc
        env = {
            "HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "AWS_ACCESS_KEY_ID": key.access, "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }
        if name == "aws":
            return Tool(found(name), env, ("--endpoint-url", stack.s3_url))
        if name == "s3cmd":
            return Tool(found(name), env, ("--config", str(home / "none"), "--host", host, "--host-bucket", host, "--no-ssl", "--no-progress"))
        (home / "rclone.conf").touch()
        env["RCLONE_CONFIG"] = str(home / "rclone.conf")
        about = {"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "ENDPOINT": stack.s3_url, "REGION": "us-east-1"}
        return Tool(found(name), env | {f"RCLONE_CONFIG_CLOUD_{field}": value for field, value in about.items()}, ("--retries", "1"))

    return make


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A thousand small files in folders, or fewer, some with names that are not plain."""
    root = tmp_path_factory.mktemp("tree") / "files"
    for number in range(getattr(request, "param", FILES)):
        folder = root / f"d{number % 10}" / ("ü b+c" if number % 100 == 0 else "plain")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04}.txt").write_text(f"file {number}\n" * (number % 7))
    return root


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files."""
    return sums(one) == sums(other)


def sums(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hashlib.md5(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def large(path: Path, size: int) -> Path:
    """A file whose parts are all different, and quickly made."""
    block = os.urandom(MIB - 8)
    with path.open("wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block)
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def client(stack: Stack, key: Key) -> Any:
    """boto3 with the settings that it comes with."""
    return boto3.client(
        "s3", endpoint_url=stack.s3_url, region_name="us-east-1", aws_access_key_id=key.access, aws_secret_access_key=key.secret
    )


def allowed(bucket: str, principal: Any, *actions: str, effect: str = "Allow", key: str = "*") -> str:
    """A bucket policy of one statement."""
    statement = {"Effect": effect, "Principal": principal, "Action": list(actions), "Resource": f"arn:aws:s3:::{bucket}/{key}"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def browser() -> requests.Session:
    """Somebody without a key, and without what this machine has set up for it."""
    session = requests.Session()
    session.trust_env = False
    return session


def fetched(url: str) -> bytes:
    answer = browser().get(url, timeout=120)
    answer.raise_for_status()
    return answer.content


# boto3


def test_boto3_does_a_days_work_with_its_own_settings(stack: Stack, ann: Key, tmp_path: Path) -> None:
    mine = client(stack, ann)
    mine.create_bucket(Bucket="boto-bucket")
    source, target = large(tmp_path / "source", 24 * MIB), tmp_path / "target"
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    mine.upload_file(str(source), "boto-bucket", "large", Config=parts, ExtraArgs={"Metadata": {"note": "x"}, "ContentType": "a/b"})
    mine.download_file("boto-bucket", "large", str(target), Config=parts)
    assert digest(source) == digest(target)
    ranged = mine.get_object(Bucket="boto-bucket", Key="large", Range=f"bytes={MIB}-{MIB + 7}")["Body"].read()
    assert ranged == (1).to_bytes(8, "big")
    keys = [f"many/{number:04}" for number in range(30)]
    for key in keys:
        mine.put_object(Bucket="boto-bucket", Key=key, Body=b"")
    pages = mine.get_paginator("list_objects_v2").paginate(Bucket="boto-bucket", Prefix="many/", PaginationConfig={"PageSize": 7})
    assert [each["Key"] for page in pages for each in page["Contents"]] == keys
    assert len(mine.delete_objects(Bucket="boto-bucket", Delete={"Objects": [{"Key": key} for key in keys]})["Deleted"]) == len(keys)
    mine.copy({"Bucket": "boto-bucket", "Key": "large"}, "boto-bucket", "copy", Config=parts)
    mine.delete_object(Bucket="boto-bucket", Key="large")
    assert [each["Key"] for each in mine.list_objects_v2(Bucket="boto-bucket")["Contents"]] == ["copy"]


def test_boto3_signs_what_others_fetch_send_and_post(stack: Stack, ann: Key) -> None:
    s3, at = client(stack, ann), {"Bucket": "boto-signed", "Key": "k"}
    s3.create_bucket(Bucket="boto-signed")
    assert browser().put(s3.generate_presigned_url("put_object", Params=at, ExpiresIn=600), b"sent", timeout=120).ok
    assert fetched(s3.generate_presigned_url("get_object", Params=at, ExpiresIn=600)) == b"sent"
    form = s3.generate_presigned_post("boto-signed", "posted", Conditions=[["content-length-range", 0, 9]], ExpiresIn=600)
    for content, status in ((b"posted", 204), (b"x" * 10, 400)):
        assert browser().post(form["url"], form["fields"], files={"file": content}, timeout=120).status_code == status
    assert s3.get_object(Bucket="boto-signed", Key="posted")["Body"].read() == b"posted"


def test_boto3_keeps_versions(stack: Stack, ann: Key) -> None:
    s3, at = client(stack, ann), {"Bucket": "boto-versions", "Key": "k"}
    s3.create_bucket(Bucket="boto-versions")
    s3.put_bucket_versioning(Bucket="boto-versions", VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(**at, Body=str(number))["VersionId"] for number in range(3)]
    assert s3.get_object(**at, VersionId=versions[0])["Body"].read() == b"0"
    marker = s3.delete_object(**at)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(**at)
    told = s3.list_object_versions(Bucket="boto-versions")
    assert [each["VersionId"] for each in told["Versions"]] == versions[::-1]
    assert [each["VersionId"] for each in told["DeleteMarkers"]] == [marker["VersionId"]]
    for version in (marker["VersionId"], versions[2]):
        s3.delete_object(**at, VersionId=version)
    assert s3.get_object(**at)["Body"].read() == b"1"


def test_boto3_gives_a_second_user_what_it_is_to_have(stack: Stack, ann: Key, bob: Key) -> None:
    mine, theirs, at = client(stack, ann), client(stack, bob), {"Bucket": "boto-shared", "Key": "for/k"}
    mine.create_bucket(Bucket="boto-shared")
    mine.put_object(**at, Body=b"x")

    def refused(who: Any) -> None:
        with pytest.raises(ClientError, match="AccessDenied"):
            who.get_object(**at)

    refused(theirs)
    for access_list in ({"ACL": "authenticated-read"}, {"GrantRead": f"id={bob.user}"}):
        mine.put_object_acl(**at, **access_list)
        assert theirs.get_object(**at)["Body"].read() == b"x"
        mine.put_object_acl(**at, ACL="private")
        refused(theirs)
    mine.put_bucket_policy(Bucket="boto-shared", Policy=allowed("boto-shared", {"AWS": bob.project}, "s3:GetObject", "s3:PutObject", key="for/*"))
    assert theirs.get_object(**at)["Body"].read() == b"x"
    theirs.put_object(Bucket="boto-shared", Key="for/theirs", Body=b"y")
    with pytest.raises(ClientError, match="AccessDenied"):
        theirs.put_object(Bucket="boto-shared", Key="elsewhere", Body=b"y")
    assert mine.get_object(Bucket="boto-shared", Key="for/theirs")["Body"].read() == b"y"
    mine.put_bucket_policy(Bucket="boto-shared", Policy=allowed("boto-shared", "*", "s3:GetObject", effect="Deny"))
    refused(theirs)
    refused(mine)
    mine.delete_bucket_policy(Bucket="boto-shared")
    assert mine.get_object(**at)["Body"].read() == b"x"


def test_boto3_finds_buckets_in_the_name_of_the_host(stack: Stack, ann: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a DNS in which `*.localhost` leads here, as that of many machines does."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **others: resolve("127.0.0.1" if host == "virtual-bucket.localhost" else host, *more, **others)
    )
    url = stack.s3_url.replace("127.0.0.1", "localhost")
    virtual = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=ann.access, aws_secret_access_key=ann.secret,
        config=Config(s3={"addressing_style": "virtual"}, proxies={}),
    )
    virtual.create_bucket(Bucket="virtual-bucket")
    virtual.put_object(Bucket="virtual-bucket", Key="a/b", Body=b"x")
    assert virtual.get_object(Bucket="virtual-bucket", Key="a/b")["Body"].read() == b"x"
    assert [each["Key"] for each in client(stack, ann).list_objects_v2(Bucket="virtual-bucket")["Contents"]] == ["a/b"]


@pytest.mark.parametrize("way", ["parts", pytest.param("whole", marks=pytest.mark.slow)])
def test_boto3_sends_and_fetches_a_gibibyte(stack: Stack, ann: Key, tmp_path: Path, way: str) -> None:
    s3, source, target = client(stack, ann), large(tmp_path / "source", 1024 * MIB), tmp_path / "target"
    s3.create_bucket(Bucket=f"gibibyte-{way}")
    if way == "parts":
        s3.upload_file(str(source), "gibibyte-parts", "k")
    else:
        with source.open("rb") as file:
            s3.put_object(Bucket="gibibyte-whole", Key="k", Body=file)
    wanted = digest(source)
    source.unlink()
    s3.download_file(f"gibibyte-{way}", "k", str(target))
    assert digest(target) == wanted
    target.unlink()


# aws


@with_aws
def test_aws_syncs_a_tree_of_files(tool: Make, ann: Key, tree: Path, tmp_path: Path) -> None:
    aws = tool("aws", ann)
    aws.run("s3", "mb", "s3://aws-tree")
    assert aws.run("s3", "sync", str(tree), "s3://aws-tree/t").count("upload:") == FILES
    assert "upload:" not in aws.run("s3", "sync", str(tree), "s3://aws-tree/t")
    aws.run("s3", "sync", "s3://aws-tree/t", str(tmp_path / "back"), "--quiet")
    assert same(tree, tmp_path / "back")
    assert f"Total Objects: {FILES}" in aws.run("s3", "ls", "--recursive", "--summarize", "s3://aws-tree")
    assert "BucketNotEmpty" in aws.run("s3", "rb", "s3://aws-tree", code=None)
    assert aws.run("s3", "rm", "--recursive", "s3://aws-tree/t/d0").count("delete:") == FILES // 10
    assert aws.run("s3", "sync", str(tree), "s3://aws-tree/t").count("upload:") == FILES // 10


@with_aws
def test_aws_sends_parts_presigns_and_keeps_versions(tool: Make, ann: Key, bob: Key, tmp_path: Path) -> None:
    aws, theirs = tool("aws", ann), tool("aws", bob)
    source, target = large(tmp_path / "source", 20 * MIB), tmp_path / "target"
    aws.run("s3api", "create-bucket", "--bucket", "aws-bucket")
    aws.run("s3", "cp", str(source), "s3://aws-bucket/large", "--metadata", "note=x")
    assert json.loads(aws.run("s3api", "head-object", "--bucket", "aws-bucket", "--key", "large"))["Metadata"] == {"note": "x"}
    aws.run("s3", "cp", "s3://aws-bucket/large", str(target))
    assert digest(source) == digest(target)
    assert fetched(aws.run("s3", "presign", "s3://aws-bucket/large").strip()) == source.read_bytes()
    aws.run("s3api", "get-object", "--bucket", "aws-bucket", "--key", "large", "--range", "bytes=0-7", str(target))
    assert target.read_bytes() == bytes(8)
    aws.run("s3api", "put-bucket-versioning", "--bucket", "aws-bucket", "--versioning-configuration", "Status=Enabled")
    for _ in range(2):
        aws.run("s3", "mv", "s3://aws-bucket/large", "s3://aws-bucket/moved")
        aws.run("s3", "cp", "s3://aws-bucket/moved", "s3://aws-bucket/large")
    assert len(json.loads(aws.run("s3api", "list-object-versions", "--bucket", "aws-bucket", "--prefix", "moved"))["Versions"]) == 2
    assert "AccessDenied" in theirs.run("s3api", "get-object-tagging", "--bucket", "aws-bucket", "--key", "large", code=None)
    assert "403" in theirs.run("s3", "cp", "s3://aws-bucket/large", str(target), code=1)
    aws.run("s3api", "put-object-acl", "--bucket", "aws-bucket", "--key", "large", "--grant-read", f"id={bob.user}")
    theirs.run("s3", "cp", "s3://aws-bucket/large", str(target))
    assert digest(source) == digest(target)
    assert "403" in theirs.run("s3", "cp", "s3://aws-bucket/moved", str(target), code=1)
    policy = allowed("aws-bucket", {"AWS": bob.project}, "s3:GetObject", "s3:GetObjectVersion")
    aws.run("s3api", "put-bucket-policy", "--bucket", "aws-bucket", "--policy", policy)
    aws.run("s3", "cp", "s3://aws-bucket/large", "s3://aws-bucket/moved")
    theirs.run("s3", "cp", "s3://aws-bucket/moved", str(target))
    assert digest(source) == digest(target)
    assert "MalformedPolicy" in aws.run("s3api", "put-bucket-policy", "--bucket", "aws-bucket", "--policy", "{}", code=None)


# s3cmd


@fewer
@with_s3cmd
def test_s3cmd_syncs_a_tree_of_files(tool: Make, ann: Key, tree: Path, tmp_path: Path) -> None:
    s3cmd, back = tool("s3cmd", ann), tmp_path / "back"
    back.mkdir()
    s3cmd.run("mb", "s3://s3cmd-tree")
    s3cmd.run("sync", f"{tree}/", "s3://s3cmd-tree/t/")
    assert "upload:" not in s3cmd.run("sync", f"{tree}/", "s3://s3cmd-tree/t/")
    s3cmd.run("sync", "s3://s3cmd-tree/t/", f"{back}/")
    assert same(tree, back)
    assert s3cmd.run("du", "s3://s3cmd-tree").split()[1] == str(len(sums(tree)))
    s3cmd.run("rb", "--recursive", "--force", "s3://s3cmd-tree")
    assert "s3cmd-tree" not in s3cmd.run("ls")


# It knows no versions.
@with_s3cmd
def test_s3cmd_sends_parts_signs_and_opens(tool: Make, ann: Key, bob: Key, stack: Stack, tmp_path: Path) -> None:
    s3cmd, theirs = tool("s3cmd", ann), tool("s3cmd", bob)
    source, target = large(tmp_path / "source", 20 * MIB), tmp_path / "target"
    s3cmd.run("mb", "s3://s3cmd-bucket")
    s3cmd.run("put", "--multipart-chunk-size-mb=5", "--add-header=x-amz-meta-note:x", str(source), "s3://s3cmd-bucket/large")
    s3cmd.run("get", "--force", "s3://s3cmd-bucket/large", str(target))
    assert digest(source) == digest(target)
    told = s3cmd.run("info", "s3://s3cmd-bucket/large")
    assert "x-amz-meta-note: x" in told and "FULL_CONTROL" in told
    assert fetched(s3cmd.run("signurl", "s3://s3cmd-bucket/large", "+60").strip()) == source.read_bytes()
    assert "AccessDenied" in theirs.run("ls", "s3://s3cmd-bucket", code=None) or "403" in theirs.run("ls", "s3://s3cmd-bucket", code=None)
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target), code=77)
    s3cmd.run("setacl", "--acl-public", "s3://s3cmd-bucket/large")
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target))
    assert fetched(f"{stack.s3_url}/s3cmd-bucket/large") == source.read_bytes()
    s3cmd.run("setacl", "--acl-private", "s3://s3cmd-bucket/large")
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target), code=77)
    s3cmd.run("setacl", f"--acl-grant=read:{bob.user}", "s3://s3cmd-bucket/large")
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target))
    s3cmd.run("setacl", f"--acl-revoke=read:{bob.user}", "s3://s3cmd-bucket/large")
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target), code=77)
    with target.open("wb") as half:
        half.write(source.read_bytes()[: 7 * MIB])
    s3cmd.run("get", "--continue", "s3://s3cmd-bucket/large", str(target))
    assert digest(source) == digest(target)
    policy = tmp_path / "policy.json"
    policy.write_text(allowed("s3cmd-bucket", {"AWS": bob.project}, "s3:GetObject"))
    s3cmd.run("setpolicy", str(policy), "s3://s3cmd-bucket")
    theirs.run("get", "--force", "s3://s3cmd-bucket/large", str(target))
    s3cmd.run("delpolicy", "s3://s3cmd-bucket")
    s3cmd.run("cp", "s3://s3cmd-bucket/large", "s3://s3cmd-bucket/copy")
    s3cmd.run("mv", "s3://s3cmd-bucket/copy", "s3://s3cmd-bucket/moved")
    s3cmd.run("del", "s3://s3cmd-bucket/moved", "s3://s3cmd-bucket/large")
    s3cmd.run("rb", "s3://s3cmd-bucket")


# rclone


@fewer
@with_rclone
def test_rclone_syncs_a_tree_of_files(tool: Make, ann: Key, tree: Path, tmp_path: Path) -> None:
    rclone, back = tool("rclone", ann), tmp_path / "back"
    rclone.run("mkdir", "cloud:rclone-tree")
    rclone.run("sync", str(tree), "cloud:rclone-tree/t")
    rclone.run("check", str(tree), "cloud:rclone-tree/t")
    assert json.loads(rclone.run("size", "--json", "cloud:rclone-tree"))["count"] == len(sums(tree))
    rclone.run("sync", "cloud:rclone-tree/t", str(back))
    assert same(tree, back)
    shutil.rmtree(back / "d0")
    rclone.run("sync", str(back), "cloud:rclone-tree/t")
    assert json.loads(rclone.run("size", "--json", "cloud:rclone-tree"))["count"] == len(sums(tree)) * 9 // 10
    rclone.run("purge", "cloud:rclone-tree")
    assert "rclone-tree" not in rclone.run("lsd", "cloud:")


# It knows no policies.
@with_rclone
def test_rclone_sends_parts_copies_and_links(tool: Make, ann: Key, bob: Key, tmp_path: Path) -> None:
    rclone, theirs = tool("rclone", ann), tool("rclone", bob)
    source, target = large(tmp_path / "source", 20 * MIB), tmp_path / "target"
    rclone.run("mkdir", "cloud:rclone-bucket")
    rclone.run("copyto", "--s3-upload-cutoff=5M", "--s3-chunk-size=5M", str(source), "cloud:rclone-bucket/large")
    rclone.run("copyto", "cloud:rclone-bucket/large", str(target))
    assert digest(source) == digest(target)
    assert fetched(rclone.run("link", "--expire=10m", "cloud:rclone-bucket/large").strip()) == source.read_bytes()
    rclone.run("moveto", "cloud:rclone-bucket/large", "cloud:rclone-bucket/moved")
    assert rclone.run("lsf", "cloud:rclone-bucket").split() == ["moved"]
    with target.open("rb") as file:
        done = subprocess.run(
            [rclone.path, *rclone.usual, "rcat", "cloud:rclone-bucket/streamed"], env=rclone.env, stdin=file, capture_output=True, timeout=120
        )
    assert done.returncode == 0, done.stderr
    assert rclone.run("md5sum", "--download", "cloud:rclone-bucket/streamed").split()[0] == digest(source)
    target.unlink()
    assert rclone.run("cat", f"--offset={MIB}", "--count=8", "cloud:rclone-bucket/moved").encode() == (1).to_bytes(8, "big")
    theirs.run("copyto", "cloud:rclone-bucket/moved", str(target), code=None)
    assert not target.exists()
    rclone.run("copyto", "--s3-acl=authenticated-read", str(source), "cloud:rclone-bucket/shared")
    theirs.run("copyto", "cloud:rclone-bucket/shared", str(target))
    assert digest(source) == digest(target)
    rclone.run("purge", "cloud:rclone-bucket")


@with_rclone
def test_rclone_keeps_versions(tool: Make, ann: Key, tmp_path: Path) -> None:
    rclone, source = tool("rclone", ann), tmp_path / "source"
    rclone.run("mkdir", "cloud:rclone-versions")
    assert "Enabled" in rclone.run("backend", "versioning", "cloud:rclone-versions", "Enabled")
    for text in ("first", "second"):
        source.write_text(text)
        rclone.run("copyto", "--ignore-times", str(source), "cloud:rclone-versions/k")
    rclone.run("deletefile", "cloud:rclone-versions/k")
    assert rclone.run("lsf", "cloud:rclone-versions") == ""
    kept = rclone.run("lsf", "--s3-versions", "cloud:rclone-versions").split()
    assert len(kept) == 2 and {rclone.run("cat", "--s3-versions", f"cloud:rclone-versions/{name}") for name in kept} == {"first", "second"}
    rclone.run("backend", "cleanup-hidden", "cloud:rclone-versions")
    assert rclone.run("lsf", "--s3-versions", "cloud:rclone-versions") == ""
