#!/bin/sh
# Run once by a new PostgreSQL: the user who owns the tables, and the role in whose name everything is done for a workspace.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$STEWARD_DB_PASSWORD" --username postgres <<'SQL'
CREATE ROLE steward_app NOLOGIN;
CREATE ROLE steward LOGIN PASSWORD :'password';
GRANT steward_app TO steward;
CREATE DATABASE steward OWNER steward;
SQL
