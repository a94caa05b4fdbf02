# The README's two commands in a container:
#   docker build -t prunestream .
#   docker run --rm -v "$PWD/build:/prunestream/build" prunestream make build BOARD=Pynq-Z1
#   docker run --rm prunestream make test
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
       chromium g++ ghdl iverilog liblz4-dev make tcl zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /prunestream
COPY . .
RUN make setup

CMD ["make", "build"]
