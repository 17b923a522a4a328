#!/bin/sh
# Makes the database on the first start, then becomes PostgreSQL.
#
#   POSTGRES_USER           the owner; `purser` when absent
#   POSTGRES_PASSWORD       its password, or
#   POSTGRES_PASSWORD_FILE  a file that holds it
#   POSTGRES_DB             the database; named like the user when absent
#   PGDATA                  a folder that this may write to; its parent must be a volume
set -eu
umask 077

user=${POSTGRES_USER:-purser}
database=${POSTGRES_DB:-$user}
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
fi

# Marked only when all of it is done: a first start that was cut off begins again.
if [ ! -e "$PGDATA/.complete" ]; then
    : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE}"
    rm -rf "$PGDATA"
    # Through a pipe: no file, environment or list of processes holds the password.
    printf '%s\n' "$POSTGRES_PASSWORD" | initdb --pgdata="$PGDATA" --username="$user" --pwfile=/dev/stdin \
        --encoding=UTF8 --locale=C.UTF-8 --auth-local=scram-sha-256 --auth-host=scram-sha-256
    printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    if [ "$database" != "postgres" ]; then
        printf 'CREATE DATABASE "%s";\n' "$database" | postgres --single -D "$PGDATA" postgres > /dev/null
    fi
    sync
    touch "$PGDATA/.complete"
fi
unset POSTGRES_PASSWORD

# A volume that is mounted for a group (fsGroup) is opened for that group, which PostgreSQL refuses.
chmod 0700 "$PGDATA"

# A socket only where its folder can be written: the pod's file system is read-only.
sockets=/var/run/postgresql
[ -w "$sockets" ] || sockets=
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories="$sockets" "$@"
