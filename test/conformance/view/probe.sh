# What a RUN step sees of itself and its box, a line each: `topic: value`. Only what is the same in each run of the same
# builder: ids, times and names made for one step are replaced. $1 is the file that is written; `host-namespaces`
# beside this script holds those of the host. Needs busybox alone. Standard streams are looked at before they change.

here=${0%/*}
out=$1

# What stands in the host's namespaces, and whether this process is in them.
namespaces() {
  for path in /proc/self/ns/*; do
    name=${path##*/}
    own=$(readlink "$path")
    if grep -q -x -F "$name $own" "$here/host-namespaces"; then echo "namespace $name: the host's"; else echo "namespace $name: own"; fi
  done
}

descriptors() {
  for path in /proc/1/fd/*; do
    to=$(readlink "$path") || continue
    flags=$(sed -n 's/^flags:\s*//p' "/proc/1/fdinfo/${path##*/}")
    echo "descriptor ${path##*/}: $to" | sed "s/\[[0-9]*\]/[…]/; s/\$/ flags $flags/"
  done
}

status() {
  sed -E '/^(Name|Pid|PPid|Tgid|Ngid|NSpid|NSpgid|NSsid|NStgid|Vm|Rss|Hugetlb|State|FDSize|Threads|voluntary|nonvoluntary|SigQ)/d
    s/^/status /; s/\s+/ /g; s/ $//' /proc/self/status
  echo "status pid namespaces below /proc: $(sed -n 's/^NSpid:\s*//p' /proc/self/status | wc -w)"
  sed -E '1d; s/\s+/ /g; s/ $//; s/^/limit /' /proc/self/limits
}

# Type, place and options of each mount, the ways to the host's disk left out.
mounts() {
  sed -E 's/(lowerdir|upperdir|workdir)=[^, ]*/\1=…/g; s/ (master|shared|propagate_from):[0-9]+/ \1/g' /proc/self/mountinfo |
    awk '{
      type = ""; tags = ""; source = ""; super = ""
      for (i = 7; i <= NF; i++) {
        if ($i == "-") { type = $(i + 1); source = $(i + 2); super = $(i + 3); break }
        tags = tags " " $i
      }
      root = $4
      if (type == "tmpfs" && root ~ /^\/./ && root != "/null") root = "…"
      if (type !~ /^(proc|sysfs|tmpfs|devpts|mqueue|cgroup|cgroup2)$/ || root ~ /tsbuild|docker|buildkit/) root = (root == "/" ? "/" : "…")
      if (type !~ /^(proc|sysfs|tmpfs|devpts|mqueue|cgroup|cgroup2|overlay)$/) { type = "disk"; source = "…"; super = "…" }
      print "mount " $5 ": " type " from " source " root " root " " $6 tags " (" super ")"
    }'
  for path in /dev /dev/shm /tmp /mounted/*; do
    [ -d "$path" ] && echo "mode $path: $(stat -c '%A %u:%g' "$path")"
  done
  for path in /dev /dev/shm /sys/fs/cgroup /mounted/tmpfs*; do
    mountpoint -q "$path" && echo "size $path: $(df -k "$path" | awk 'NR == 2 { print $2 }')"
  done
}

# Can a file be opened for reading, for writing? Nothing is read or written. (test -w takes root's word for it.)
access() {
  a=
  { true <"$1"; } 2>/dev/null && a=r
  [ -d "$1" ] || { { true >>"$1"; } 2>/dev/null && a=${a}w; }
  echo "${a:--}"
}

proc() {
  for path in /proc/[a-z]* /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward /sys/* /sys/kernel/* /sys/devices/virtual/powercap; do
    [ -e "$path" ] || continue
    case $path in
      /proc/self | /proc/thread-self | /proc/kmsg) ;;
      *)
        content=
        if [ -d "$path" ]; then
          [ "$(ls -A "$path" 2>/dev/null | wc -l)" = 0 ] && content=' empty'
        elif [ -c "$path" ]; then
          content=' device'
        elif [ "$(head -c 1 "$path" 2>/dev/null | wc -c)" = 0 ]; then
          content=' unreadable'
        fi
        echo "path $path: $(stat -c '%A %u:%g' "$path") $(access "$path")$content"
        ;;
    esac
  done
  # All knobs of the kernel.
  find /proc/[a-z]* /sys -type f 2>/dev/null | grep -v '^/proc/kmsg\|^/proc/self\|^/proc/thread-self' | while read -r path; do
    { true >>"$path"; } 2>/dev/null && echo "writable: $path"
  done
  for name in hostname domainname shmmax shmmni shmall msgmax msgmnb msgmni sem pid_max overflowuid; do
    echo "sysctl kernel/$name: $(cat /proc/sys/kernel/$name 2>&1)" | tr '\t' ' '
  done
  for name in ipv4/ip_forward ipv4/ping_group_range ipv4/ip_unprivileged_port_start ipv6/conf/all/disable_ipv6; do
    echo "sysctl net/$name: $(cat /proc/sys/net/$name 2>&1)" | tr '\t' ' '
  done
}

devices() {
  find /dev | sort | while read -r path; do
    echo "device $path: $(stat -c '%A %u:%g %t:%T' "$path")$([ -L "$path" ] && echo " -> $(readlink "$path")")"
  done
  # What a device file of one's own opens.
  for item in null:c:1:3 zero:c:1:5 full:c:1:7 tty:c:5:0 console:c:5:1 ptmx:c:5:2 pts:c:136:0 tty0:c:4:0 mem:c:1:1 kmsg:c:1:11 fuse:c:10:229 tun:c:10:200 loop0:b:7:0 disk:b:254:0; do
    IFS=: read -r name type major minor <<END
$item
END
    for place in /tmp /dev/shm; do
      made=no
      opened=no
      file=$place/device-$name
      mknod "$file" "$type" "$major" "$minor" 2>/dev/null && made=yes
      case $name in
        tty | console | tty0) ;;
        *) (exec 3<"$file") 2>/dev/null && opened=yes ;;
      esac
      rm -f "$file"
      echo "mknod $place $name: made $made, opened $opened"
    done
  done
}

process() {
  tr '\0' '\n' </proc/1/environ | sed 's/^/environment of 1: /'
  env | sort | sed 's/^/environment: /'
  echo "command of 1: $(tr '\0' ' ' </proc/1/cmdline)"
  echo "id: $(id)"
  echo "umask: $(umask)"
  echo "directory: $(pwd -P)"
  echo "terminal: $(tty)"
  # pid, parent, process group, session, terminal, nice: where nothing but the step itself runs.
  echo "process 1: $(sed 's/.*) //' /proc/1/stat | awk '{ print "parent " $2 " group " $3 " session " $4 " terminal " $5 " nice " $17 " exit signal " $36 " policy " $39 }')"
  others=0
  for path in /proc/[0-9]*; do
    pid=${path##*/}
    grep -q probe.sh "$path/cmdline" 2>/dev/null || { [ -e "$path" ] && others=$((others + 1)); }
  done
  echo "other processes: $others"
  for name in oom_score_adj oom_score coredump_filter loginuid sessionid timerslack_ns setgroups uid_map gid_map timens_offsets; do
    echo "self $name: $(cat /proc/self/$name 2>&1 | tr -s '\n\t ' ' ')"
  done
  echo "personality: $(cat /proc/self/personality 2>&1)"
  echo "label: $(cat /proc/self/attr/current 2>&1)"
  sed -E 's/^/cgroup /; s/:[^:]*$/:…/' /proc/self/cgroup
  ls -A /sys/fs/cgroup 2>&1 | sed 's/^/cgroups shown: /'
  echo "keys: $(wc -c </proc/keys 2>&1)"
}

files() {
  for path in / /etc /etc/hosts /etc/resolv.conf /etc/hostname /etc/mtab /proc /sys /dev /run /run/secrets /mounted /root; do
    if [ -e "$path" ]; then
      echo "file $path: $(stat -c '%A %u:%g' "$path") $(access "$path")"
    else
      echo "file $path: none"
    fi
  done
  for path in /mounted/* /run/secrets/*; do
    [ -e "$path" ] && echo "file $path: $(stat -c '%A %u:%g' "$path") $(access "$path")"
  done
  cat -A /etc/hosts | sed 's/^/hosts: /'
  cat -A /etc/resolv.conf | sed 's/^/resolv.conf: /'
  echo "hostname: $(hostname)"
  echo "file systems: $(ls -A / | tr '\n' ' ')"
}

network() {
  for path in /sys/class/net/*; do
    echo "interface ${path##*/}: $(cat "$path/operstate" 2>&1) mtu $(cat "$path/mtu" 2>&1)"
  done
  ip addr show lo | sed -E 's/^\s+/ /; s/^/lo: /' | grep -E 'inet|state'
  echo "routes: $(ip route 2>/dev/null | wc -l)"
}

{
  namespaces
  descriptors
  status
  mounts
  proc
  devices
  process
  files
  network
} 2>/dev/null | sort >"$out"
