# syntax=docker/dockerfile:1

# The compiler's image brings a C compiler, and the cryptographic library and SQLite need nothing more.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin signet \
    && cp target/release/signet /usr/local/bin/signet

FROM debian:trixie-slim
# A number, so that orchestrators see that it is not root. The folders are private, as the service itself makes them.
RUN groupadd --gid 10001 signet \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin signet \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /data/data /data/keys
# The public authorities, for what the service calls over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/signet /usr/local/bin/signet

USER 10001:10001
# data/ (SQLite) and keys/ are the service's defaults, and a signet.toml here is read: one volume holds what must last.
WORKDIR /data
VOLUME /data

# The loopback address of a container is reachable from nowhere. Off it the service wants SIGNET_ISSUER, and either TLS
# (SIGNET_TLS_CERT, SIGNET_TLS_KEY) or SIGNET_TRUSTED_PROXIES, the network of the proxy that terminates TLS; it says so
# and stops where they are missing. Nothing can be guessed here that would be safe everywhere.
ENV SIGNET_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["signet", "healthcheck"]

# The service itself is process 1 and takes SIGTERM; it then lets requests finish for up to 10 s.
ENTRYPOINT ["signet"]
CMD ["serve"]
