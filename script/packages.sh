# Sourced by script/run and script/test: what they need from Debian, installed when missing.
# Works as root, or as a user with password-less sudo; asks nothing.

packages_build=(
  ca-certificates g++ cmake ninja-build pkg-config ccache
  libboost1.81-dev libprotobuf-dev protobuf-compiler libgrpc++-dev libsnappy-dev libzstd-dev zlib1g-dev
  libre2-dev libssl-dev libyaml-cpp-dev libfmt-dev libxxhash-dev libgtest-dev)
packages_run=(prometheus-node-exporter)
packages_test_all=(
  clang-19 libclang-rt-19-dev lld-19 llvm-19
  prometheus prometheus-alertmanager prometheus-node-exporter chromium curl python3 python3-grpcio)
packages_bench=(libbenchmark-dev prometheus victoria-metrics)

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -n "$@"
  else
    echo "error: installing packages needs root or sudo; missing: ${missing[*]}" >&2
    return 1
  fi
}

# need_packages NAME...: installs those that are not installed yet.
need_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return 0
  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"

  # Debian starts a package's service, on every interface, while installing it. A policy that says
  # no is the documented way to prevent that; one that is already there is left as it is.
  local policy=/usr/sbin/policy-rc.d made_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made_policy=yes
  fi
  local status=0
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null || status=$?
  [ -z "$made_policy" ] || as_root rm -f "$policy"
  # Not started now, and not at the next boot either.
  for name in "${missing[@]}"; do
    case "$name" in prometheus | prometheus-* | victoria-metrics)
      [ ! -d /run/systemd/system ] || as_root systemctl disable -q "$name" || true ;;
    esac
  done
  if [ "$status" != 0 ]; then
    echo "error: apt could not install: ${missing[*]}" >&2
    return "$status"
  fi
}
