#!/bin/sh
# Pins requirements*.txt out of pyproject.toml with uv. The files hold versions only: no index, no paths.
#   requirements.txt        the control plane
#   requirements-ldap.txt   what the control plane needs besides where there is an LDAP directory: the extra `ldap`
#   requirements-agent.txt  a hypervisor: the extras `agent` and `libvirt` and nothing else, so no Django
#   requirements-dev.txt    all of it, with what tests and checks need
# UPGRADE=1 takes the newest versions that pyproject.toml allows; otherwise what is pinned stays pinned.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
[ -x "$uv" ] || .venv/bin/python -m pip install -q uv
set -- --quiet --python-version 3.11 --no-header --no-annotate --no-emit-index-url ${UPGRADE:+--upgrade}

"$uv" pip compile "$@" pyproject.toml --extra agent --extra libvirt --extra ldap --extra dev -o requirements-dev.txt
# The smaller sets take their versions from the large one, so that all of them fit into one environment.
"$uv" pip compile "$@" pyproject.toml -c requirements-dev.txt -o requirements.txt
extras() {
    .venv/bin/python - "$@" <<'PYTHON'
import sys
import tomllib
from pathlib import Path

extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
print("\n".join(line for name in sys.argv[1:] for line in extras[name]))
PYTHON
}
extras agent libvirt | "$uv" pip compile "$@" - -c requirements-dev.txt -o requirements-agent.txt >/dev/null
extras ldap | "$uv" pip compile "$@" - -c requirements-dev.txt -o requirements-ldap.txt >/dev/null
