#!/bin/sh
# Makes rootfs.tar, a small Debian or Ubuntu, from the packages of the distribution that runs here.
#
#   examples/base/make-rootfs.sh [FILE]       (default: rootfs.tar beside this script)
#
# Where the packages come from is read from this host's apt at run time (sources, proxies, date checks), so it
# works behind a mirror or a proxy, and nothing of it is kept in this folder. Needs mmdebstrap; root is not needed
# where user namespaces are allowed. EXTRA_PACKAGES="a,b" adds packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/rootfs.tar"}

for tool in mmdebstrap apt-get apt-config; do
  command -v "$tool" >/dev/null || { echo "make-rootfs: $tool is missing; on Debian and Ubuntu: apt-get install mmdebstrap" >&2; exit 1; }
done
. /etc/os-release

work=$(mktemp -d)
trap 'rm -rf "$work" "$out.part"' EXIT
trap 'exit 130' INT TERM

# The distribution's own repositories as apt has them now; those of other vendors stay out.
apt-get indextargets --format '$(ORIGIN)|$(SIGNED_BY)|$(SITE)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
  sort -u |
  while IFS='|' read -r origin key _site uri suite component; do
    case "$origin" in Debian | Ubuntu) ;; *) continue ;; esac
    case "$key" in /*) key="[signed-by=$key] " ;; *) key='' ;; esac
    echo "deb $key$uri $suite $component"
  done >"$work/sources.list"
if [ ! -s "$work/sources.list" ]; then
  echo 'make-rootfs: apt knows no package source here; run `apt-get update` first' >&2
  exit 1
fi

# What this host's apt needs to reach them goes into the image's apt too: the base is for this network.
set --
for option in Acquire::Check-Valid-Until Acquire::Check-Date Acquire::http::Proxy Acquire::https::Proxy; do
  value=$(apt-config shell v "$option" | sed "s/^v='\(.*\)'\$/\1/")
  [ -z "$value" ] || set -- "$@" --aptopt="$option \"$value\""
done

echo "make-rootfs: $ID ${VERSION_CODENAME:-} into $out" >&2
mmdebstrap --quiet --variant=minbase --format=tar \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  ${EXTRA_PACKAGES:+--include="$EXTRA_PACKAGES"} \
  "$@" "${VERSION_CODENAME:?}" "$out.part" "$work/sources.list" >&2
mv "$out.part" "$out"
