#!/bin/sh
# Puts a backup back, while no process of Steward runs, and Redis is stopped: into an empty home, an empty database, an empty Redis.
#   restore.sh FOLDER [REDIS_FOLDER]
# Reads the same variables as backup.sh.
set -eu
umask 077
from=${1:?say which backup: restore.sh FOLDER [REDIS_FOLDER]}
home=${STEWARD_HOME:-.steward}
[ -e "$from/complete" ] || { echo "$from is not a complete backup." >&2; exit 1; }
mkdir -p "$home"
if [ -e "$from/redis" ]; then
  : "${2:?say which folder Redis writes to}"
  [ ! -e "$2/appendonlydir" ] || { echo "$2 is not empty: move appendonlydir away." >&2; exit 1; }
  cp -a "$from/redis/appendonlydir" "$2/"
fi
if [ -e "$from/steward.db" ]; then
  file=${DATABASE_URL:-sqlite:///$home/steward.db}
  file=${file#sqlite:///}
  [ ! -e "$file" ] || { echo "$file is there already: move it away." >&2; exit 1; }
  cp "$from/steward.db" "$file"
else
  pg_restore --exit-on-error --no-owner --single-transaction --dbname "$DATABASE_URL" "$from/steward.dump"
fi
for part in files redis.sealed; do
  if [ -e "$from/$part" ]; then cp -a "$from/$part" "$home/"; fi
done
