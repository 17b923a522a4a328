#!/bin/sh
# Becomes Redis, as a cache: nothing is written to disk, and the least used goes when memory is short.
#
#   REDIS_PASSWORD       the password; without one anyone who reaches the port may use it
#   REDIS_PASSWORD_FILE  a file that holds it
set -eu

if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
    REDIS_PASSWORD=$(cat "$REDIS_PASSWORD_FILE")
fi
access="protected-mode no"
if [ -n "${REDIS_PASSWORD:-}" ]; then
    access="requirepass \"$REDIS_PASSWORD\""
fi
unset REDIS_PASSWORD REDIS_PASSWORD_FILE

# On standard input, where no list of processes shows the password.
exec redis-server - "$@" <<CONFIG
bind * -::*
port 6379
$access
save ""
appendonly no
maxmemory 96mb
maxmemory-policy allkeys-lru
CONFIG
