# Builds FlashLM in one Debian, runs it in another (docs/serving.md).
FROM debian:12-slim AS build
WORKDIR /flashlm
COPY . .
RUN tools/setup.sh && tools/build.sh flashlm && strip build/release/flashlm

FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcurl4 libdnnl2 libfmt9 libgomp1 libhwy1 libmicrohttpd12 libssl3 libtomlplusplus3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --no-create-home flashlm
COPY --from=build /flashlm/build/release/flashlm /usr/local/bin/flashlm
USER flashlm
EXPOSE 8080
ENTRYPOINT ["flashlm", "serve", "--model", "/model", "--host", "0.0.0.0", "--no-auth"]
