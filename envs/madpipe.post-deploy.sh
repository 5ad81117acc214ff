#!/usr/bin/env bash
# Snakemake runs this in the new conda environment, in the folder that holds pyproject.toml.
set -eu
[ -f pyproject.toml ] || {
  echo >&2 "madpipe: --sdm conda needs a clone of madpipe; $PWD is none; run there, or without --sdm conda after pip install."
  exit 1
}
python -m pip install --no-deps --no-build-isolation -e .
