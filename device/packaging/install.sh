#!/bin/sh
# Installs runnel-device as a service of this board. Run it as root in the unpacked folder.
#   ./install.sh [BUNDLE]     BUNDLE: what `runnel-coordinator enroll NAME` wrote for this device
#   ./install.sh --remove     stops and removes the program and the service; /etc/runnel and the device's state stay
# DESTDIR=FOLDER installs below that folder, for an image that is made elsewhere, and starts nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
unit=$root/etc/systemd/system/runnel-device.service

say() { echo "runnel-device: $*"; }
fail() {
  echo "install.sh: $*" >&2
  exit 1
}
# Nothing is started in an image, nor where there is no systemd.
systemd() {
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl "$@"; fi
}

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then fail "needs root (or DESTDIR)"; fi
if [ "${1:-}" = --remove ]; then
  systemd disable --now runnel-device || true
  rm -f "$unit" "$root/usr/local/bin/runnel-device"
  systemd daemon-reload
  say "removed; /etc/runnel and /var/lib/private/runnel-device are still there"
  exit 0
fi

"$here/runnel-device" --version >/dev/null 2>&1 || [ -n "$root" ] || fail "$here/runnel-device does not run on this board ($(uname -m))"
bundle=${1:-}
if [ -n "$bundle" ] && [ ! -f "$bundle" ]; then fail "there is no file $bundle"; fi

mkdir -p "$root/usr/local/bin" "$root/etc/runnel" "$root/etc/systemd/system"
# Over a running program: a new file in its place, not new bytes in the old one.
install -m 0755 "$here/runnel-device" "$root/usr/local/bin/.runnel-device.new"
mv "$root/usr/local/bin/.runnel-device.new" "$root/usr/local/bin/runnel-device"
install -m 0644 "$here/runnel-device.service" "$unit"
if [ ! -f "$root/etc/runnel/device.conf" ]; then install -m 0644 "$here/device.conf" "$root/etc/runnel/device.conf"; fi
if [ -n "$bundle" ]; then install -m 0600 "$bundle" "$root/etc/runnel/device.bundle"; fi

systemd daemon-reload
if [ -f "$root/etc/runnel/device.bundle" ]; then
  systemd enable runnel-device
  systemd restart runnel-device
  say "installed; see: systemctl status runnel-device, and /etc/runnel/device.conf for its options"
else
  say "installed; copy the device's bundle to /etc/runnel/device.bundle, then: systemctl enable --now runnel-device"
fi
