#!/bin/sh
# What only the optimised build has, FORTIFY_SOURCE, ends a program that writes past its room: the way of an
# administrator who installs, with the programs that were built for that.
#
#   optimised.sh DIRECTORY-OF-PROGRAMS
set -eu
bin=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$bin/venvctl" cert init --cluster lab --dir "$dir/ca"
for who in "manager mgr" "agent node07" "user alice"; do
    set -- $who
    for key in p256 ed25519; do
        "$bin/venvctl" cert issue "$1" "$2" --dir "$dir/ca" --out "$dir/$2" --key "$key" --replace
        "$bin/venvctl" cert show "$dir/$2/$1-$2.crt" | grep -Eq '^fingerprint: ([0-9A-F]{2}:){31}[0-9A-F]{2}$'
    done
done
[ "$("$bin/venvctl" eval '[1, 2, 3].map(x, x * 2).size()')" = 3 ]
tls() { printf '{ca: %s/ca.crt, certificate: %s/%s.crt, key: %s/%s.key}' "$dir/$1" "$dir/$1" "$2" "$dir/$1" "$2"; }
printf 'agent:\n  name: node07\n  manager: localhost\n  tls: %s\n' "$(tls node07 agent-node07)" >"$dir/agent.yaml"
printf 'manager:\n  name: mgr\n  tls: %s\n' "$(tls mgr manager-mgr)" >"$dir/manager.yaml"
"$bin/venv-agent" --config "$dir/agent.yaml" --check
"$bin/venv-mgr" --config "$dir/manager.yaml" --check
