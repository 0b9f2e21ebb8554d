# Two stages: one builds a static program, the other holds nothing but it.
# Both bases can be replaced, as in: docker build --build-arg BUILDER=my/rust .
ARG BUILDER=rust:1.95-slim-bookworm
ARG RUNTIME=scratch

FROM ${BUILDER} AS build
# What ISA-L is built with.
RUN apt-get update && apt-get install -y --no-install-recommends \
    make nasm autoconf automake libtool && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
ENV RUSTFLAGS="-C target-feature=+crt-static"
# With a target named, build scripts and macros are spared the static linking that they cannot do.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && cargo build --locked --release --target "$target" \
    && install -D "target/$target/release/hearthkeep" /out/usr/bin/hearthkeep \
    && mkdir -p /out/var/lib/hearthkeep /out/tmp

FROM ${RUNTIME}
COPY --from=build /out/ /
# Root, because other users own the files that are backed up and restored, and the engine's socket
# belongs to root. Where the socket and the mounts allow another user, `user:` in Compose sets it.
ENV HEARTHKEEP_STATE=/var/lib/hearthkeep
# A container of this name on the engine is never taken for a companion.
LABEL org.opencontainers.image.title="hearthkeep" \
      org.opencontainers.image.description="Backs up and restores Home Assistant Container homes" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/bin/hearthkeep"]
CMD ["--help"]
