#!/usr/bin/env bash
# Snakemake runs this in the new conda environment, in the folder that holds pyproject.toml.
set -eu
python -m pip install --no-deps --no-build-isolation -e .
