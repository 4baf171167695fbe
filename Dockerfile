# Five images from one file: docker build --target worker|producer|gateway|console|trainer .
# Packages come from the lock files, checked by hash; pip and setuptools stay behind in the build stages.
# With --build-arg OTEL=1 the worker's image can send spans.

FROM python:3.11-slim-bookworm AS base

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements/ requirements/
RUN python -m venv /tools && /tools/bin/pip install --require-hashes -r requirements/build.lock

# Before our own code: a change of ours does not fetch the packages again.
FROM build AS runtime-packages
ARG OTEL
RUN python -m venv --without-pip /venv \
    && /tools/bin/pip --python /venv/bin/python install --require-hashes \
        -r requirements/runtime.lock ${OTEL:+-r requirements/otel.lock} \
    # NumPy's and SciPy's own tests, 32 MB.
    && find /venv -type d -name tests -prune -exec rm -rf {} +

FROM build AS gateway-packages
RUN python -m venv --without-pip /venv \
    && /tools/bin/pip --python /venv/bin/python install --require-hashes -r requirements/gateway.lock

FROM build AS console-packages
RUN python -m venv --without-pip /venv \
    && /tools/bin/pip --python /venv/bin/python install --require-hashes -r requirements/console.lock

FROM build AS trainer-packages
RUN python -m venv --without-pip /venv \
    && /tools/bin/pip --python /venv/bin/python install --require-hashes -r requirements/trainer.lock

FROM build AS wheel
COPY . .
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

# What only building and reading need: package lists, manuals, translations, pip. 10 MB of the official image, 170 of
# one that still has its lists.
FROM base AS trimmed
RUN useradd --system --uid 10001 --create-home undertone \
    && rm -rf /var/cache/apt /var/cache/debconf /var/lib/apt/lists /var/log/* \
        /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man /usr/share/python-wheels \
        /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
        /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
        /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/idlelib /usr/local/lib/python3*/test

# A layer of its own: what is removed in a layer above the base's would still be in the image.
FROM scratch AS service
COPY --from=trimmed / /
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER undertone
WORKDIR /home/undertone
ENTRYPOINT ["undertone"]

FROM service AS runtime
COPY --from=runtime-packages /venv /venv
# Last, so that a change of our code makes a layer of ours and not one of all packages.
USER root
RUN --mount=from=build,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/pip --python /venv/bin/python install --no-deps --no-index /wheel/*.whl
USER undertone

FROM runtime AS worker
# Reachable from outside the container; publish it to trusted networks only.
ENV UNDERTONE_METRICS_HOST=0.0.0.0
EXPOSE 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/readyz', timeout=4)"]
CMD ["worker"]

FROM runtime AS producer
COPY samples/ /samples/
CMD ["produce", "--help"]

FROM service AS gateway
COPY --from=gateway-packages /venv /venv
USER root
RUN --mount=from=build,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/pip --python /venv/bin/python install --no-deps --no-index /wheel/*.whl
USER undertone
# Reachable from outside the container; publish it to trusted networks only.
ENV UNDERTONE_GATEWAY_METRICS_HOST=0.0.0.0
EXPOSE 9465
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9465/readyz', timeout=4)"]
# Which wires, and where: `docker run ... gateway --audiosocket 0.0.0.0:9019` and who may connect.
CMD ["gateway", "--help"]

FROM service AS console
COPY --from=console-packages /venv /venv
USER root
RUN --mount=from=build,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/pip --python /venv/bin/python install --no-deps --no-index /wheel/*.whl \
    # A volume that is new begins as this: with a folder that the user may write.
    && mkdir /data && chown undertone /data
USER undertone
# Reachable from outside the container: without a token it does not start.
ENV UNDERTONE_CONSOLE_HOST=0.0.0.0 UNDERTONE_CONSOLE_METRICS_HOST=0.0.0.0 UNDERTONE_CONSOLE_FOLDER=/data
EXPOSE 8080 9468
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9468/readyz', timeout=4)"]
CMD ["console"]

FROM service AS trainer
COPY --from=trainer-packages /venv /venv
# librosa compiles functions when it is first loaded, 19 s of CPU; this leaves them in the user's cache.
RUN python -c "import librosa.util.utils, librosa.core.pitch"
USER root
RUN --mount=from=build,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/pip --python /venv/bin/python install --no-deps --no-index /wheel/*.whl \
    # A volume that is new begins as this: with a folder that the user may write.
    && mkdir /data && chown undertone /data
USER undertone
# Reachable from outside the container; publish it to trusted networks only.
ENV UNDERTONE_TRAINER_METRICS_HOST=0.0.0.0
EXPOSE 9467
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9467/readyz', timeout=4)"]
# The service: `docker run ... trainer --out /data`; a single training: `docker run --no-healthcheck ... train`.
CMD ["trainer", "--help"]
