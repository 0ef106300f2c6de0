# syntax=docker/dockerfile:1

# This image brings a C compiler; the cryptographic library and SQLite need nothing else.
FROM rust:1.95-slim-trixie AS build
# Set by the builder. Builds for two architectures must not share a target folder: one could copy the other's binary.
ARG TARGETARCH
WORKDIR /src
# `.dockerignore` decides what this copies.
COPY . .
RUN --mount=type=cache,id=signet-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=signet-target-${TARGETARCH},target=/src/target,sharing=locked \
    cargo build --release --locked --bin signet \
    && cp target/release/signet /usr/local/bin/signet

FROM debian:trixie-slim
# A numeric user: orchestrators can tell that it is not root. The folders are private, as the service makes them.
RUN groupadd --gid 10001 signet \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin signet \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data /data/data /data/keys
# The public certificate authorities, for outgoing TLS connections.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/signet/
COPY --from=build /usr/local/bin/signet /usr/local/bin/signet

USER 10001:10001
# The defaults `data/` (SQLite) and `keys/` lie here, and a `signet.toml` here is read. One volume holds all of it.
WORKDIR /data
VOLUME /data

# The loopback address of a container cannot be reached from outside. On any other address the service requires
# SIGNET_ISSUER, and either TLS (SIGNET_TLS_CERT, SIGNET_TLS_KEY) or SIGNET_TRUSTED_PROXIES, the network of the proxy
# that terminates TLS. If they are missing, it says so and exits. No default for them would be safe everywhere.
ENV SIGNET_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["signet", "healthcheck"]

# The service is process 1 and handles SIGTERM: it lets requests finish for up to 10 s, and emails for 5 s more.
ENTRYPOINT ["signet"]
CMD ["serve"]
