#!/bin/sh
# Makes this machine able to run Cloudsite: Debian packages and .venv. Instant when nothing is to be done.
#   scripts/bootstrap.sh          what `make up` needs
#   scripts/bootstrap.sh --test   and what `make test` and `make check` need
# With CLOUDSITE_LDAP_URL set, also what speaks to an LDAP directory.
# PYTHON=... chooses the interpreter (3.11 or later). Never asks anything.
set -eu
cd "$(dirname "$0")/.."

mode=run
[ "${1:-}" = --test ] && mode=test
log="${CLOUDSITE_VAR:-var}/log/bootstrap.log"
venv=.venv
python="${PYTHON:-python3}"

say() { printf ' %s %-21s%s\n' "$1" "$2" "$3"; }
fail() { say '!' "$1" "$2" >&2; exit 1; }
seconds() { date +%s; }
took() { printf '%5d.0 s  %s' "$(($(seconds) - $1))" "$2"; }
logged() { mkdir -p "$(dirname "$log")"; printf '\n$ %s\n' "$*" >>"$log"; "$@" >>"$log" 2>&1; }

# ---- Debian packages ------------------------------------------------------------------------------------------------

with_ldap() { [ "$mode" = test ] || [ -n "${CLOUDSITE_LDAP_URL:-}${CLOUDSITE_LDAP_URL_FILE:-}" ]; }

wanted() {
    set -- scripts/packages.txt
    if with_ldap; then set -- "$@" scripts/packages-ldap.txt; fi
    [ "$mode" = test ] && set -- "$@" scripts/packages-test.txt
    sed -e 's/#.*//' "$@" | awk 'NF { print $1 }'
}

missing() {
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
    for package in $(wanted); do
        printf '%s\n' "$installed" | grep -qx "$package" || printf '%s ' "$package"
    done
}

apt() {
    if [ "$(id -u)" = 0 ]; then set -- env "$@"; else set -- sudo -n env "$@"; fi
    logged "$@"
}

# Where no service manager runs, packages would start their daemons by init scripts and nobody would ever stop them.
keep_daemons_down() {
    [ "$(id -u)" = 0 ] && [ ! -d /run/systemd/system ] && [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 130' INT TERM
}

install_packages() {
    set -- DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120
    if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then apt "$@" update || return 1; fi
    # shellcheck disable=SC2086
    apt "$@" install --no-install-recommends $packages && return 0
    apt "$@" update || return 1  # the lists may be old
    # shellcheck disable=SC2086
    apt "$@" install --no-install-recommends $packages
}

debian_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say '-' 'System packages' 'this is no Debian or Ubuntu: see scripts/packages.txt for what is needed'
        return 0
    fi
    packages=$(missing)
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        say '-' 'System packages' "missing, and only root may install them: apt-get install $packages"
        return 0
    fi
    say '…' 'System packages' "installing $packages"
    started=$(seconds)
    keep_daemons_down
    if install_packages; then
        say '✓' 'System packages' "$(took "$started" "$(printf '%s' "$packages" | wc -w) installed")"
    else
        tail -n 5 "$log" >&2
        say '!' 'System packages' "could not install all of: $packages (see $log); going on with what is there"
    fi
}

# ---- Python ---------------------------------------------------------------------------------------------------------

requirements() { if [ "$mode" = test ]; then echo requirements-dev.txt; else echo requirements.txt requirements-agent.txt; fi; }

can_build_libvirt() { command -v gcc >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists libvirt; }

can_build_ldap() { command -v gcc >/dev/null && [ -e /usr/include/ldap.h ] && [ -e /usr/include/sasl/sasl.h ]; }

fingerprint() {
    # shellcheck disable=SC2046
    cat $(requirements) | sha256sum
    "$venv/bin/python" -V 2>/dev/null || echo none
    if can_build_libvirt; then echo libvirt; else echo 'no libvirt'; fi
    if with_ldap; then cat requirements-ldap.txt; if can_build_ldap; then echo ldap; else echo 'no ldap'; fi; fi
}

make_venv() {
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null; then return 0; fi
    command -v "$python" >/dev/null || fail 'Python' "there is no $python: apt-get install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail 'Python' "$("$python" -V) is too old, 3.11 or later is needed; name one: make up PYTHON=/path/to/python3.11"
    logged "$python" -m venv --clear "$venv" || fail 'Python' "cannot make $venv: apt-get install python3-venv (see $log)"
}

# uv is ten times as fast as pip; where it cannot be had, or does not reach the index that pip is set up for, pip does it.
pip_install() {
    if [ ! -x "$venv/bin/uv" ]; then
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || logged "$venv/bin/python" -m ensurepip || true
        logged "$venv/bin/python" -m pip install -q uv || true
    fi
    if [ -x "$venv/bin/uv" ] && logged "$venv/bin/uv" pip install --python "$venv/bin/python" --compile-bytecode "$@"; then return 0; fi
    logged "$venv/bin/python" -m pip install -q "$@"
}

python_packages() {
    stamp="$venv/.cloudsite-$mode"
    [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ] && return 0
    started=$(seconds)
    make_venv
    lists=$(mktemp -d)
    # shellcheck disable=SC2046
    cat $(requirements) | grep -v -e '^libvirt-python' -e '^python-ldap' -e '^django-auth-ldap' | sort -u >"$lists/all.txt"
    grep -h '^libvirt-python' requirements-agent.txt >"$lists/libvirt.txt"
    pip_install -r "$lists/all.txt" || { tail -n 15 "$log" >&2; fail 'Python packages' "could not be installed; see $log"; }
    binding='with libvirt'
    if ! can_build_libvirt; then
        binding="without libvirt (gcc, pkg-config or libvirt-dev is missing): guests will be simulated"
    elif ! pip_install -r "$lists/libvirt.txt"; then
        binding="without libvirt (it did not build, see $log): guests will be simulated"
    fi
    if with_ldap; then
        if ! can_build_ldap; then
            binding="$binding; without LDAP (gcc, libldap-dev or libsasl2-dev is missing): nobody of the directory can sign in"
        elif ! pip_install -r requirements-ldap.txt; then
            binding="$binding; without LDAP (it did not build, see $log): nobody of the directory can sign in"
        else
            binding="$binding, with LDAP"
        fi
    fi
    rm -rf "$lists"
    fingerprint >"$stamp"
    say '✓' 'Python packages' "$(took "$started" "$binding")"
}

debian_packages
python_packages
