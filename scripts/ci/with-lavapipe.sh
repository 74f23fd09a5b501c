#!/usr/bin/env bash
# with-lavapipe.sh COMMAND: runs a command with OCELLUS_LAVAPIPE naming the driver file of Mesa's lavapipe. Where the system has none, Debian's
# and Ubuntu's packages are unpacked into a folder of this script's. Says so and ends well if that can't be done. Dawn needs Mesa 24 or newer,
# which Debian 12 has in its backports.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/unpack-packages.sh"

missing() { echo "lavapipe is not tested: $1"; exit 0; }

driver="$(ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)"
if [ -z "$driver" ]; then
  cache="${TMPDIR:-/tmp}/ocellus-lavapipe-$(id -u)"
  unpack_packages "$cache" backports mesa-vulkan-drivers libvulkan1
  driver="$(ls "$cache"/root/usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)"
  [ -n "$driver" ] || missing "Mesa's package has no lvp_icd file"
  export LD_LIBRARY_PATH="$cache/root/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
export OCELLUS_LAVAPIPE="$driver"
exec bash -c "$1"
