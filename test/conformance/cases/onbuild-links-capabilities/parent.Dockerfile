FROM localhost/busybox
ADD capable.tar /opt/
ENTRYPOINT ["/bin/echo"]
CMD ["inherited"]
VOLUME /inherited
ONBUILD ARG TRIGGERED=yes
ONBUILD ENV TRIGGER=$TRIGGERED
ONBUILD COPY links/a /onbuild-copied
ONBUILD RUN echo "$TRIGGER" >/onbuild-run
ONBUILD USER app
ONBUILD WORKDIR /home/app/onbuild
ONBUILD USER root
