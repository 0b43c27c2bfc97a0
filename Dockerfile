# docker build -t runner . && docker run --rm --network host -v "$PWD:/work" runner run scenarios/quick-smoke.yaml
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY schemas schemas
COPY scenarios scenarios
COPY datasets datasets
COPY benches benches
COPY examples examples
RUN cargo build --locked --profile dist --bin runner

FROM gcr.io/distroless/cc-debian12
COPY --from=build /src/target/dist/runner /usr/local/bin/runner
WORKDIR /work
ENTRYPOINT ["runner"]
