# Triggers may have heredocs (L-OB-1, L-HD-1).
FROM localhost/busybox
ENV who=parent
ONBUILD COPY <<EOF /from-parent
made for $who
EOF
ONBUILD RUN <<EOF
mkdir /made
echo $who >/made/who
EOF
ONBUILD RUN cat <<A >/a && cat <<-"B" >/b
$who
A
	$who
	B
