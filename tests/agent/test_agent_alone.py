"""The agent runs where Django is not installed, nor anything else that requirements-agent.txt does not name."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.agent.kit import ROOT, AgentProcess, Control, RedisServer, config

# Run by itself: nothing that pytest has imported may help.
IMPORT_ALL = """
    import importlib, importlib.util, pkgutil, sys

    class Refuse:
        names = ("django", "rest_framework", "apps", "apis", "cloudsite", "dashboard")

        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in self.names:
                raise ModuleNotFoundError(f"the agent must not import {name}", name=name)

    sys.meta_path.insert(0, Refuse())
    without_libvirt = importlib.util.find_spec("libvirt") is None
    import agent, contracts
    count = 0
    for package in (agent, contracts):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name == "agent.__main__" or without_libvirt and module.name.startswith("agent.drivers.libvirt."):
                continue
            importlib.import_module(module.name)
            count += 1
    assert not {name.split(".")[0] for name in sys.modules} & set(Refuse.names)
    print(count)
"""

# A whole command through the pipeline, with nothing but the standard library around it.
BUILD = """
    import sys, pathlib, tempfile, time
    from agent.config import Simulated
    from contracts import topics
    from contracts.report import Outcome
    from tests.agent.kit import Control, Pipeline

    control = Control()
    pipeline = Pipeline(pathlib.Path(tempfile.mkdtemp(dir=sys.argv[1])), control)
    (report,) = pipeline.build(control.build("i-1"))
    assert report.outcome is Outcome.DONE, report
    assert "django" not in sys.modules
    print(report.outcome.value)
"""


def python(program: str, *arguments: str, interpreter: str = sys.executable) -> str:
    """Run a program with the repository on its path and nothing of our environment; its output."""
    result = subprocess.run(
        [interpreter, "-c", textwrap.dedent(program), *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_no_module_of_the_agent_imports_django_or_the_control_plane() -> None:
    assert int(python(IMPORT_ALL)) > 30


def test_a_settings_module_in_the_environment_does_not_make_celery_import_django(
    tmp_path: Path, control: Control
) -> None:
    program = """
        import os, pathlib, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "no.such.settings"
        from agent.app import create_app, create_worker
        from agent.config import load
        settings = load(pathlib.Path(sys.argv[1]))
        create_worker(create_app(settings, lambda topic, wires: None), settings)
    """
    agent = AgentProcess(tmp_path, config(tmp_path / "state", control))
    python(program, str(agent.config_file))


@pytest.fixture(scope="session")
def agent_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment made of requirements-agent.txt; libvirt's binding only if it can be built."""
    folder = tmp_path_factory.mktemp("venv")
    interpreter = str(folder / "bin" / "python")
    lines = (ROOT / "requirements-agent.txt").read_text().splitlines()
    wanted = folder / "requirements.txt"
    wanted.write_text("\n".join(line for line in lines if not line.startswith("libvirt")))
    if uv := shutil.which("uv"):
        steps = [[uv, "venv", str(folder)], [uv, "pip", "install", "--python", interpreter, "-r", str(wanted)]]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(folder)],
            [interpreter, "-m", "pip", "install", "-q", "-r", str(wanted)],
        ]
    for step in steps:
        result = subprocess.run(step, capture_output=True, text=True, timeout=300, check=False)
        if result.returncode:
            pytest.skip(f"cannot install requirements-agent.txt here: {result.stderr.strip()[-300:]}")
    return interpreter


@pytest.mark.slow
def test_in_an_environment_of_its_own_it_checks_itself_and_builds(
    agent_python: str, tmp_path: Path, control: Control, redis_server: RedisServer
) -> None:
    with pytest.raises(AssertionError, match="No module named 'django'"):
        python("import django", interpreter=agent_python)
    settings = config(tmp_path / "state", control, broker_url=redis_server.url)
    checked = AgentProcess(tmp_path, settings, "--check", python=agent_python).once()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "all is well" in checked.stdout
    assert python(BUILD, str(tmp_path), interpreter=agent_python).splitlines()[-1] == "done"
    assert int(python(IMPORT_ALL, interpreter=agent_python)) > 25


@pytest.mark.slow
def test_an_idle_agent_needs_at_most_80_mib(
    agent_python: str, tmp_path: Path, control: Control, redis_server: RedisServer
) -> None:
    import time

    agent = AgentProcess(
        tmp_path, config(tmp_path / "state", control, broker_url=redis_server.url, heartbeat_s=0.5), python=agent_python
    )
    try:
        agent.start()
        time.sleep(4)
        status = Path(f"/proc/{agent.pid}/status").read_text()
        resident_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        print(f"resident: {resident_kib / 1024:.1f} MiB")
        assert resident_kib <= 80 * 1024
    finally:
        agent.close()
