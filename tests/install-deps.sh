#!/bin/sh
# Installs what the two commands need: the Debian packages of tests/deps.txt that are missing.
# A line "@NAME" there is a package that is unpacked into build/packages and not installed: the
# guest's kernel has no business in the boot menu of this machine.
#
#   sh tests/install-deps.sh [--run] [--list]
#
#   --run    only what building and running needs, without the servers and tools of the tests
#   --list   print the names and install nothing
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
list=$here/deps.txt

part=p
if [ "${1-}" = --run ]; then
    part='/^# --- tests only ---/q;p'
    shift
fi
names=$(sed -n "$part" "$list" | sed -e 's/#.*//' | tr -s ' \t' '\n\n' | grep .)
wanted=$(echo "$names" | grep -v '^@' || true)
unpacked=$(echo "$names" | sed -n 's/^@//p')
if [ "${1-}" = --list ]; then
    printf '%s\n' $wanted $unpacked
    exit 0
fi

missing=
for package in $wanted; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done

store=$top/build/packages
fetch=
for package in $unpacked; do
    [ -e "$store/$package/.complete" ] || fetch="$fetch $package"
done
[ -n "$missing$fetch" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "install-deps: these packages are missing:$missing$fetch. Run this as root, or install them by hand." >&2
    exit 1
fi
echo "install-deps: updating the list of packages"
apt-get update -qq
if [ -n "$missing" ]; then
    echo "install-deps: installing$missing"
    # Services of the packages are not started: tests run daemons of their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
    fi
    # shellcheck disable=SC2086
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $missing >/dev/null; then
        echo "install-deps: apt-get failed; run it by hand to see why: apt-get install$missing" >&2
        exit 1
    fi
fi
for package in $fetch; do
    # A meta package stands for the newest image it depends on.
    real=$(apt-cache depends "$package" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    real=${real:-$package}
    echo "install-deps: unpacking $real into build/packages"
    rm -rf "$store/$package"
    mkdir -p "$store/$package"
    (cd "$store/$package" && apt-get download -qq "$real" 2>/dev/null && dpkg -x ./*.deb . && rm -f ./*.deb && touch .complete)
    [ -e "$store/$package/.complete" ] || { echo "install-deps: $real could not be downloaded" >&2; exit 1; }
done
