# With --ulimit, --shm-size and --add-host.
FROM localhost/busybox AS probe
COPY probe.sh host-namespaces /probe/
RUN mkdir -m 1777 /views
RUN --network=none sh /probe/probe.sh /views/limits

FROM scratch
COPY --from=probe /views /
