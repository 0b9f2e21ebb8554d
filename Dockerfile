# Two stages: one builds a static program, the other holds nothing but it and whom it trusts.
#
#   docker build -t hearthkeep .
#   docker buildx build --platform linux/amd64,linux/arm64 -t hearthkeep .
#
# Both bases can be replaced. BUILDER is a Debian with Rust, or an image that has all that belongs
# into the finished one in its folder /out already.
ARG BUILDER=rust:1.95-slim-bookworm
ARG RUNTIME=scratch

# On the machine's own processor, for whichever it builds: compiling for another one is faster than
# playing one. Only BuildKit says which it is, and any Docker from 23 on has BuildKit.
FROM --platform=${BUILDPLATFORM:-linux/amd64} ${BUILDER} AS build
ARG BUILDARCH
ARG TARGETARCH
WORKDIR /build
COPY packaging/image-tools ./
RUN [ -d /out ] || ./image-tools prepare
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
RUN [ -d /out ] || ./image-tools build /out

FROM ${RUNTIME}
COPY --from=build /out/ /
# Root, because other users own the files that are backed up and restored, and the engine's socket
# belongs to root. Where the socket and the mounts allow another user, `user:` in Compose sets it.
ENV HEARTHKEEP_STATE=/var/lib/hearthkeep
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="hearthkeep" \
      org.opencontainers.image.description="Backs up and restores Home Assistant Container homes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# It releases what it holds before it ends.
STOPSIGNAL SIGTERM
# Well only once what an earlier run left open has been closed, and while the daemon answers.
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 \
    CMD ["/usr/bin/hearthkeep", "status", "--health"]
ENTRYPOINT ["/usr/bin/hearthkeep"]
CMD ["serve"]
