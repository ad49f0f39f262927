#!/bin/sh
# Makes a guest that is up in about two seconds, also under emulation: Debian's cloud kernel and an
# initial RAM disk with static busybox. The guest is a worker node: it takes jobs from a queue, runs
# them, and hands the output back.
#
#   sh examples/guest/build.sh OUT     writes OUT/vmlinuz and OUT/initrd
#
# Needs the packages of tests/deps.txt (the kernel is unpacked in build/packages, never installed).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=${1:?usage: build.sh OUT}
kernel_tree=$top/build/packages/linux-image-cloud-amd64
busybox=/bin/busybox

kernel=$(ls "$kernel_tree"/boot/vmlinuz-* 2>/dev/null | head -n 1)
[ -n "$kernel" ] || { echo "guest: no kernel in $kernel_tree; run sh tests/install-deps.sh" >&2; exit 1; }
version=${kernel##*/vmlinuz-}
if ! "$busybox" --list 2>/dev/null | grep -qx udhcpc; then
    echo "guest: $busybox lacks udhcpc: install busybox-static" >&2
    exit 1
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/etc/acpi/PWRF" \
    "$root/lib/modules/$version"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
done

# Only what a worker needs: the network card, the power button, disks, and the way to a guest agent.
modules=$kernel_tree/lib/modules/$version
for module in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
    failover net_failover virtio_net evdev button virtio_blk cdrom isofs virtio_console; do
    file=$(find "$modules" -name "$module.ko*" | head -n 1)
    [ -n "$file" ] || continue # built into the kernel
    mkdir -p "$root/${file#"$kernel_tree"/}"
    rmdir "$root/${file#"$kernel_tree"/}"
    cp "$file" "$root/${file#"$kernel_tree"/}"
done
cp "$modules/modules.builtin" "$modules/modules.order" "$root/lib/modules/$version/" 2>/dev/null || true
"$busybox" depmod -b "$root" "$version"

cp "$here/init" "$root/init"
cp "$here/worker" "$root/bin/worker"
cp "$here/power-button" "$root/etc/acpi/PWRF/00000080"
cp "$here/dhcp" "$root/etc/dhcp"
chmod 755 "$root/init" "$root/bin/worker" "$root/etc/acpi/PWRF/00000080" "$root/etc/dhcp"

mkdir -p "$out"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) | gzip -1n >"$out/initrd.new"
mv "$out/initrd.new" "$out/initrd"
cp "$kernel" "$out/vmlinuz.new"
mv "$out/vmlinuz.new" "$out/vmlinuz"
