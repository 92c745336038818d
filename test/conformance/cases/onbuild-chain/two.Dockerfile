FROM localhost/onbuild-one
USER root
RUN test -e /made-by-one
ONBUILD ADD given /made-by-two
ONBUILD EXPOSE 80
ONBUILD CMD ["two"]
