#!/usr/bin/env bash
# Installs the named tools where they are missing: cc psql venv java jdbc
#
#     scripts/install.sh psql venv
#
# A tool that is present costs nothing. What is absent comes from apt-get, through sudo unless the
# caller is root; on a machine without apt-get the script names what to install and fails.
set -euo pipefail

present() {
  case "$1" in
    cc) command -v cc >/dev/null ;;
    psql) command -v psql >/dev/null ;;
    venv) command -v python3 >/dev/null && python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    java) command -v javac >/dev/null ;;
    jdbc) [ -e /usr/share/java/postgresql.jar ] ;;
    *) echo "unknown tool \"$1\"" >&2; exit 2 ;;
  esac
}

packages_of() {
  case "$1" in
    cc) echo build-essential ;;
    psql) echo postgresql-client ;;
    venv) echo python3 python3-venv ;;
    java) echo default-jdk-headless ;;
    jdbc) echo libpostgresql-jdbc-java ;;
  esac
}

missing=()
for tool in "$@"; do
  if ! present "$tool"; then
    read -r -a packages <<<"$(packages_of "$tool")"
    missing+=("${packages[@]}")
  fi
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "please install: ${missing[*]}" >&2
  exit 1
fi
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo)
echo "installing ${missing[*]}"
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for tool in "$@"; do
  present "$tool" || { echo "$tool is still missing after the installation" >&2; exit 1; }
done
