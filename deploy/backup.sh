#!/bin/sh
# Copies what Steward keeps into a new folder, while it runs: database, Redis, and the files of STEWARD_HOME.
#   backup.sh FOLDER [REDIS_FOLDER]
# Reads STEWARD_HOME, DATABASE_URL and REDIS_URL as Steward does.
# REDIS_FOLDER: where Redis writes to, on this machine. STEWARD_SECRET_KEY is not copied: keep it elsewhere.
set -eu
umask 077
into=${1:?say into which new folder: backup.sh FOLDER [REDIS_FOLDER]}
home=${STEWARD_HOME:-.steward}
mkdir "$into"
# Redis before the database: the audit then has at least what Redis has, and no event is archived twice.
if [ -n "${REDIS_URL:-}" ]; then
  : "${2:?say which folder Redis writes to}"
  # The files that the manifest names, as long as it stays the same; Redis itself puts up with a last line that is cut.
  python3 - "$2" "$into/redis" <<'PYTHON'
import pathlib, shutil, sys
source, into = map(pathlib.Path, sys.argv[1:])
folder = source / "appendonlydir"
(into / "appendonlydir").mkdir(parents=True)
for attempt in range(5):  # a rewrite in between changes the names: begin again
    manifest = (folder / "appendonly.aof.manifest").read_bytes()
    for name in [line.split()[1] for line in manifest.decode().splitlines() if line.startswith("file ")]:
        if (folder / name).exists():
            shutil.copyfile(folder / name, into / "appendonlydir" / name)
    if (folder / "appendonly.aof.manifest").read_bytes() == manifest:
        (into / "appendonlydir" / "appendonly.aof.manifest").write_bytes(manifest)
        break
else:
    sys.exit("Redis rewrites its append-only file again and again: try later.")
PYTHON
fi
case ${DATABASE_URL:-sqlite} in
  sqlite*)
    file=${DATABASE_URL:-sqlite:///$home/steward.db}
    python3 - "${file#sqlite:///}" "$into/steward.db" <<'PYTHON'
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as source, contextlib.closing(sqlite3.connect(sys.argv[2])) as into:
    source.backup(into)
PYTHON
    ;;
  *) pg_dump --format=custom --no-owner --enable-row-security --file "$into/steward.dump" "$DATABASE_URL" ;;
esac
for part in files redis.sealed; do
  if [ -e "$home/$part" ]; then cp -a "$home/$part" "$into/"; fi
done
touch "$into/complete"
