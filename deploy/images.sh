#!/bin/sh
# Images by digest: what a tag names can be changed by whoever holds the registry, what a digest names cannot.
#   images.sh lock    fetches each image and writes into .env which content it has: IMAGE=name:tag@sha256:…
#   images.sh check   refuses a deployment in which an image is named by its tag alone
set -eu
cd "$(dirname "$0")/.."
compose() { docker compose --profile monitoring --profile commands "$@"; }

# Variable and image of everything that is not built here, from docker-compose.yml and .env.
images() { sed -nE 's/.*(image|PYTHON_IMAGE): \$\{([A-Z]+_IMAGE):-([^}]+)\}.*/\2 \3/p' docker-compose.yml | sort -u; }

case "${1:-}" in
lock)
  [ -e .env ] || { echo "images.sh: there is no .env: run make prepare" >&2; exit 1; }
  (umask 022; grep -vE '^[A-Z]+_IMAGE=' .env >.env.part || true)
  images >.env.images
  while read -r variable image; do
    docker pull --quiet "$image" >/dev/null
    digest=$(docker image inspect --format '{{index .RepoDigests 0}}' "$image")
    case "$digest" in
    *@sha256:*) echo "$variable=$image@${digest#*@}" | tee -a .env.part ;;
    *) echo "images.sh: $image has no digest: it did not come from a registry" >&2; rm -f .env.part .env.images; exit 1 ;;
    esac
  done <.env.images
  rm -f .env.images
  mv .env.part .env
  ;;
check)
  found=$(compose config) || exit 1
  bad=$(printf '%s\n' "$found" | sed -nE 's/^ *(image|PYTHON_IMAGE): "?([^"]+)"?$/\2/p' | sort -u |
    grep -vE '@sha256:[0-9a-f]{64}$' | grep -vE '^patrol-visibility(-[a-z]+)?:' || true)
  if [ -n "$bad" ]; then
    echo "images.sh: named by tag alone, run make images:" $bad >&2
    exit 1
  fi
  ;;
*)
  echo "usage: images.sh lock|check" >&2
  exit 2
  ;;
esac
