# The pins of requirements.txt in an image. What is run in it is this folder, mounted or copied.
#
#   docker build --tag searchr2 .
#   docker run --rm --gpus all --shm-size 8g -v "$PWD":/work searchr2 searchr2 doctor
#   docker run --rm --gpus all --shm-size 8g -v "$PWD":/work searchr2 snakemake --cores all results/table1.csv
#
# Without a GPU, PyTorch's CPU wheels save gigabytes:
#   docker build --tag searchr2 --build-arg EXTRA_INDEX=https://download.pytorch.org/whl/cpu .
# Apptainer builds from it too: apptainer build searchr2.sif docker-daemon://searchr2:latest

FROM python:3.11-slim-bookworm

# git names the commit in provenance; a compiler, since DeepSpeed builds an operator on GPUs
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make g++ ninja-build \
    && rm -rf /var/lib/apt/lists/*

ARG EXTRA_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
COPY requirements.txt /opt/searchr2/
RUN PIP_EXTRA_INDEX_URL="$EXTRA_INDEX" pip install --requirement /opt/searchr2/requirements.txt

COPY pyproject.toml README.md LICENSE /opt/searchr2/
COPY src /opt/searchr2/src
RUN pip install --no-deps --editable /opt/searchr2 \
    && git config --system --add safe.directory '*'

WORKDIR /work
