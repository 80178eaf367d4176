# syntax=docker/dockerfile:1.7
# One image for gateway, runbook and nats-server. Build: docker build -t feedgate:0.1.0 .
ARG PYTHON_IMAGE=python:3.12.11-slim-bookworm

# ---- the locale that the CTP library aborts without; its sources stay in this stage
FROM ${PYTHON_IMAGE} AS locale
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends locales \
 && mkdir -p /usr/lib/locale \
 && localedef --no-archive -i zh_CN -f GB18030 /usr/lib/locale/zh_CN.gb18030 \
 && rm -rf /var/lib/apt/lists/*

# ---- everything that pip does; nothing is compiled, so no compiler is needed here either
FROM ${PYTHON_IMAGE} AS install
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The dependencies first: they change less often than the code. Each file has its hash in requirements.lock.
COPY requirements.lock ./
RUN pip wheel --quiet --require-hashes --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY runbook runbook
COPY plugins plugins
# Only what the three distributions ask for, out of the files that were verified above: they have the versions.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /tools \
 && pip --python /tools/bin/python install --quiet --no-index --find-links /wheels hatchling editables \
 && pip --python /tools/bin/python wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir /dist \
      /src /src/plugins/ctp /src/plugins/sopt \
 && python -m venv --without-pip /opt/feedgate \
 && pip --python /opt/feedgate/bin/python install --quiet --no-index --find-links /wheels --find-links /dist \
      'feedgate[runbook,top]' feedgate-ctp feedgate-sopt

# ---- what runs
FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="feedgate" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=locale /usr/lib/locale/zh_CN.gb18030 /usr/lib/locale/zh_CN.gb18030
COPY --from=install /opt/feedgate /opt/feedgate
COPY deploy/docker/health.py /opt/feedgate/libexec/health.py
RUN groupadd --system --gid 10001 feedgate \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/feedgate --shell /usr/sbin/nologin feedgate \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/feedgate /var/lib/nats \
 && install -d -m 0750 -o 10001 -g 10001 /var/log/feedgate \
 && install -d -m 0755 /etc/feedgate
ENV PATH=/opt/feedgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/feedgate
USER 10001:10001
# metrics, console
EXPOSE 9100 9180
STOPSIGNAL SIGTERM
# Asks the gateway over NATS, and fails when it does not answer or a market is open and a feed has no line.
HEALTHCHECK --interval=30s --timeout=15s --start-period=90s --retries=3 \
  CMD ["python", "/opt/feedgate/libexec/health.py", "gateway"]
# The supervisor reaps what its children leave behind, so it may be process 1.
CMD ["python", "-m", "runbook.supervisor", "--foreground", "--state-dir=/var/lib/feedgate", "--log-dir=/var/log/feedgate"]
