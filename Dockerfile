# One image for the API and the worker; docker-compose.yml says which is which.
# `--build-arg PROCESSOR=gpu` makes the one for NVIDIA GPUs; its libraries of CUDA come as wheels.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1

# The user owns /library and /models, and so does a new volume that is mounted there.
RUN useradd --create-home --uid 10001 segsearch \
    && install --directory --owner segsearch --group segsearch /library /models

WORKDIR /src

ARG PROCESSOR=cpu

# Dependencies change less often than the source: a layer of their own.
COPY pyproject.toml constraints.txt ./
RUN pip install --constraint constraints.txt uv \
    && uv pip install --system --constraint constraints.txt --requirements pyproject.toml --extra ${PROCESSOR} --extra map --extra server --extra s3 --extra milvus

COPY README.md LICENSE NOTICE ./
COPY segsearch segsearch
COPY api api
COPY migrations migrations
RUN uv pip install --system --constraint constraints.txt --no-deps . && rm -rf build

USER segsearch
WORKDIR /home/segsearch
ENV SEGSEARCH_LIBRARY=/library SEGSEARCH_MODELS=/models
VOLUME ["/library", "/models"]
EXPOSE 8000

ENTRYPOINT ["segsearch"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
