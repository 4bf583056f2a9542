#!/bin/sh
# Writes what docker-compose.yml needs and is not there yet: passwords in deploy/secrets, settings in deploy/config,
# variables in .env. What is there is left as it is, so it can be run again after each new version.
set -eu
cd "$(dirname "$0")/.."
mkdir -p deploy/secrets deploy/config
# The containers' users must be able to read a secret; the folder's mode keeps others out.
chmod 700 deploy/secrets
chmod 755 deploy/config

# Writes what it is given, whole or not at all, for everybody to read who gets so far.
new() {
  [ -e "$1" ] && return
  rm -f "$1.part"
  (umask 077; cat >"$1.part")
  chmod 644 "$1.part"
  mv "$1.part" "$1"
  echo "wrote $1"
}

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in database_superuser database_password grafana_password; do
  random | new "deploy/secrets/$name"
done
printf 'postgresql://patrol:%s@database/patrol' "$(cat deploy/secrets/database_password)" | new deploy/secrets/patrol_database
printf '' | new deploy/secrets/patrol_smtp

new deploy/config/settings.toml <<'TOML'
# Settings of all processes, by their names in deploy/README.md in small letters without PATROL_. Files that they name
# belong into this folder, which the containers see as /etc/patrol. After a change: docker compose up --detach
# --force-recreate
#
# policy = "/etc/patrol/policy.toml"
# postcodes = "/etc/patrol/postcodes.csv.gz"
# basemap = "/etc/patrol/area.pmtiles"
TOML

new .env <<'ENV'
# Variables of docker-compose.yml, which docker compose reads here. make images writes images with their digests.
#
# PATROL_MAIL=/etc/patrol/mail.toml       # and deploy/secrets/patrol_smtp: smtp://user:password@mail.example:587
# KAFKA_MEMORY=3g                         # limits: KAFKA_, DATABASE_ and WORKER_, MEMORY and CPUS
# DATABASE_CPUS=2
ENV
