#!/bin/sh
# Becomes Redis. The password is given on standard input, where no list of processes shows it.
#
#   REDIS_PASSWORD       the password, or
#   REDIS_PASSWORD_FILE  a file that holds it
set -eu

if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
    REDIS_PASSWORD=$(cat "$REDIS_PASSWORD_FILE")
fi
: "${REDIS_PASSWORD:?set REDIS_PASSWORD or REDIS_PASSWORD_FILE}"
password=$REDIS_PASSWORD
unset REDIS_PASSWORD REDIS_PASSWORD_FILE

exec redis-server - "$@" <<CONFIG
bind * -::*
port 6379
dir /data
requirepass "$password"
save ""
appendonly no
maxmemory 128mb
maxmemory-policy allkeys-lru
CONFIG
