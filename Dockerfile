# Both programs of Purser. The build context holds `purser` and `purser-operator` as cargo built them;
# `cargo run -p e2e -- images build` prepares it.
FROM docker.io/library/debian:bookworm-slim

# Providers are called over TLS, and backups are made by PostgreSQL's own programs. The base made by `e2e` has both already; a
# registry's has not. The programs must not be older than the server: for one that is newer than Debian's, take its packages.
RUN [ -e /etc/ssl/certs/ca-certificates.crt -a -e /usr/bin/pg_dump ] \
    || (apt-get update && apt-get install -y --no-install-recommends ca-certificates postgresql-client \
        && rm -rf /var/lib/apt/lists/*)

COPY --chmod=0755 purser purser-operator /usr/local/bin/

USER 65532:65532
ENTRYPOINT ["purser"]
