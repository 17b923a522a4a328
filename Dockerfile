# Both programs of Purser. The build context holds `purser` and `purser-operator` as cargo built them;
# `cargo run -p e2e -- images build` prepares it.
FROM docker.io/library/debian:bookworm-slim

# Providers are called over TLS. The base made by `e2e` has the certificates already; a registry's has not.
RUN [ -e /etc/ssl/certs/ca-certificates.crt ] \
    || (apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*)

COPY --chmod=0755 purser purser-operator /usr/local/bin/

USER 65532:65532
ENTRYPOINT ["purser"]
