#!/bin/sh
# Makes the application's role and database, in a server that is empty: the database's image runs it once, as the
# server's superuser. The role owns its database and nothing else, and may not make roles, databases or copies.
set -eu
password=$(cat "${PATROL_PASSWORD_FILE:-/run/secrets/database_password}")
[ -n "$password" ] || { echo "roles.sh: the file of the password is empty: run make prepare" >&2; exit 1; }
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
  --set=password="$password" <<'SQL'
create role patrol login password :'password' nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
create database patrol owner patrol;
revoke all on database patrol from public;
SQL
