/** Everything that owners, whiteouts and mounts can be about; the result does not depend on the clock. */
export const ownersDockerfile = `FROM scratch AS base
ADD rootfs.tar /
ENV PATH=/bin
FROM base
RUN mkdir /data /data/dir && echo 1 >/data/file && chown 1000:1000 /data/file && chown :2000 /data/dir
RUN ln -s file /data/link && chown -h 1000:2000 /data/link && ln /data/file /data/same && mkfifo /data/fifo
RUN cp /bin/busybox /data/suid && chown 0:2000 /data/suid && chmod 6755 /data/suid
RUN mv /data/file /data/moved && chmod 640 /data/moved && rm -r /home/app && mkdir /home/app && chown app:app /home/app
RUN rm /data/same && chown 65534:65533 /data/dir && (cd /data/dir && echo 2 >inner && chown 1:2 inner)
COPY --chown=1000:1000 hello /data/hello
RUN chmod 755 /data/hello
RUN --mount=type=secret,id=word,uid=1000,mode=0440 --mount=type=cache,target=/cache,uid=1000 \\
    --mount=type=bind,target=/context --mount=type=tmpfs,target=/scratch \\
    test "$(wc -c </run/secrets/word)" = 12 && echo x >/cache/x && cmp /context/hello /data/hello && touch /scratch/x
WORKDIR /work
USER app
RUN echo mine >/home/app/mine && mkdir /home/app/below && touch /home/app/below/too
`;
