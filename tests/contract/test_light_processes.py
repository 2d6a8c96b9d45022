"""What processes do not load, because five of them would each pay for it: docs/benchmark.md, idle memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudsite.settings.environment import BASE_DIR

WORKER = "from cloudsite.celery import app; app.loader.import_default_modules()"
WEB = "import cloudsite.wsgi; from django.urls import get_resolver; get_resolver().url_patterns"


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import cloudsite.watching", ("django.apps", "apps.compute", "numpy")),
        (WORKER, ("numpy", "apps.images.admin", "apps.images.api.views", "drf_spectacular.generators")),
        (WEB, ("numpy", "rich")),
        ("import cloudsite.s3", ("numpy", "apps.images.admin", "apps.images.api.views", "drf_spectacular.generators")),
    ],
    ids=["flower", "worker", "web", "s3"],
)
def test_a_process_leaves_out_what_it_has_no_use_for(tmp_path: Path, program: str, absent: tuple[str, ...]) -> None:
    code = f"{program}; import sys; print(*(set({absent!r}) & set(sys.modules)))"
    env = {**os.environ, "CLOUDSITE_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "cloudsite.settings"}
    done = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr[-2000:]
