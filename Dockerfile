# madpipe, its command line and its workflow, from the same lock as `make setup`:
#     docker build -t madpipe . && docker run --rm -v "$PWD:/work" madpipe madpipe --help
FROM python:3.12-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
COPY . /opt/madpipe
RUN make -C /opt/madpipe setup PYTHON=/usr/local/bin/python3
ENV PATH="/opt/madpipe/.venv/bin:$PATH"
WORKDIR /work
CMD ["madpipe", "--help"]
