FROM localhost/busybox
ENV FROM_PARENT=yes
ONBUILD COPY given /made-by-one
ONBUILD RUN <<EOF
echo "$FROM_PARENT" >/made-by-heredoc
EOF
ONBUILD USER app
ONBUILD ENTRYPOINT ["one"]
