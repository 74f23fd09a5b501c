#!/usr/bin/env bash
# with-lavapipe.sh COMMAND: runs a command with OCELLUS_LAVAPIPE naming the driver file of Mesa's lavapipe. Where the system has none, Debian's
# and Ubuntu's packages are unpacked into a folder of this script's, so that nothing else on the machine changes. Says so and ends well if
# that can't be done. Dawn needs Mesa 24 or newer, which Debian 12 has in its backports.
set -euo pipefail

missing() { echo "lavapipe is not tested: $1"; exit 0; }

driver="$(ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)"
if [ -z "$driver" ]; then
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "no driver is installed, and there is no apt-get"
  [ "$(uname -m)" = x86_64 ] || missing "no driver is installed, and packages are unpacked on x86_64 only"
  cache="${TMPDIR:-/tmp}/ocellus-lavapipe-$(id -u)"
  if [ ! -f "$cache/complete" ]; then
    rm -rf "$cache"; mkdir -p "$cache"/{lists/partial,archives/partial,root}
    . /etc/os-release
    cp /etc/apt/sources.list "$cache/sources.list" 2>/dev/null || : >"$cache/sources.list"
    mkdir "$cache/sources.d"; cp /etc/apt/sources.list.d/*.{list,sources} "$cache/sources.d/" 2>/dev/null || true
    release=()
    if [ "${VERSION_CODENAME:-}" = bookworm ]; then
      keys=/usr/share/keyrings/debian-archive-keyring.gpg
      echo "deb [signed-by=$keys] http://deb.debian.org/debian bookworm-backports main" >>"$cache/sources.list"
      release=(-t bookworm-backports)
    fi
    options=(-o "Dir::Etc::sourcelist=$cache/sources.list" -o "Dir::Etc::sourceparts=$cache/sources.d" -o "Dir::State::lists=$cache/lists"
      -o "Dir::Cache=$cache" -o "Dir::Cache::archives=archives" -o "APT::Sandbox::User=$(id -un)" -o "Debug::NoLocking=1")
    apt-get -qq "${options[@]}" update >"$cache/log" 2>&1 || missing "apt-get update fails: $(tail -n 1 "$cache/log")"
    apt-get -qq -y "${options[@]}" install --download-only --no-install-recommends "${release[@]}" mesa-vulkan-drivers libvulkan1 >"$cache/log" 2>&1 ||
      missing "its packages can't be had: $(tail -n 1 "$cache/log")"
    for package in "$cache"/archives/*.deb; do dpkg-deb -x "$package" "$cache/root"; done
    touch "$cache/complete"
  fi
  driver="$(ls "$cache"/root/usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)"
  [ -n "$driver" ] || missing "Mesa's package has no lvp_icd file"
  export LD_LIBRARY_PATH="$cache/root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
export OCELLUS_LAVAPIPE="$driver"
exec bash -c "$1"
