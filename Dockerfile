# One image for every role: `gateway up` on one machine, `gateway serve | relay | sequence` on many.
# Nothing is fetched without a hash; the second stage has neither pip's cache nor a compiler.

ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/gateway
WORKDIR /src
COPY requirements.txt ./
RUN /opt/gateway/bin/pip install --require-hashes -r requirements.txt
COPY . .
RUN /opt/gateway/bin/pip install --no-deps --no-build-isolation .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --system --uid 10001 --home-dir /data gateway && install -d -o gateway -g gateway -m 0700 /data
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
USER gateway
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["gateway"]
CMD ["up", "--data", "/data"]
