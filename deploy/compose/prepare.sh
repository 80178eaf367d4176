#!/bin/sh
# Makes what docker-compose.yml mounts and no checkout has, below the directory above this one (or $1):
#   secrets/          passwords and tokens, random
#   config/sim, /live feedgate.toml and feedgate.env of the profiles; yours from now on. A rollback writes there.
# What is there already stays as it is. Run it as root, and each file belongs to the user of its container alone;
# otherwise secrets/ and config/ are for you alone (0700), and what is in them is open, because containers are others.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${1:-$here/../..}
umask 077
mkdir -p "$root/secrets" "$root/config"
if [ "$(id -u)" = 0 ]; then super=yes; else super=; fi
random() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }
own() { # path, uid, mode for its owner, mode where there is no owner to give it to
  if [ "$super" ]; then chown "$2:" "$1" 2>/dev/null || chown "$2" "$1"; chmod "$3" "$1"; else chmod "$4" "$1"; fi
}
put() { # path, uid, modes as above; the content on stdin
  if [ -e "$1" ]; then cat > /dev/null; echo "$1 stays as it is"; return; fi
  cat > "$1"
  own "$1" "$2" "$3" "$4"
  echo "$1 written"
}
passwords="$root/secrets/nats_auth.conf $root/secrets/console_token $root/config/sim/feedgate.env $root/config/live/feedgate.env"
there=
missing=
for file in $passwords; do if [ -e "$file" ]; then there="$there $file"; else missing="$missing $file"; fi; done
if [ "$there" ] && [ "$missing" ]; then
  echo "missing:$missing; new ones would not fit$there: restore them, or remove all and run this again" >&2
  exit 1
fi
nats=$(random) viewer=$(random) operator=$(random)
printf 'authorization { user: "feedgate", password: "%s" }\n' "$nats" | put "$root/secrets/nats_auth.conf" 10001 0400 0444
printf '%s' "$viewer" | put "$root/secrets/console_token" 65534 0400 0444
random | put "$root/secrets/grafana_admin_password" 472 0400 0444
for kind in sim live; do
  mkdir -p "$root/config/$kind"
  own "$root/config/$kind" 10001 0700 0777
  put "$root/config/$kind/feedgate.toml" 10001 0600 0666 < "$here/$kind.toml"
  put "$root/config/$kind/feedgate.env" 10001 0600 0666 <<END
# Secrets and accounts of gateway and runbook; .env.example has every name. In config/live add CTP_PRIMARY_… here.
NATS_USER=feedgate
NATS_PASSWORD=$nats
# The console's logins: a viewer for Prometheus, an operator for you, an admin for what only an admin may do.
OPS_API_TOKENS=viewer:prometheus:$viewer,operator:operator:$operator,admin:admin:$(random)
END
done
