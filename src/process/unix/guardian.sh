# Ends what a process leaves behind when it dies, in whatever way. Any POSIX sh runs it: dash, busybox, bash.
#
# $1: the process group of that process. Standard input: a pipe that ends with it. Standard output, for reading: a table
# of the attempts that are running, one per line: id of the child (0 while it is being started), mark, grace in ms.
#
# To an attempt belong: the process group of the child, whoever has the mark in the environment or a member for a parent,
# and all of every group and session that a member was seen in.

trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU
while read -r line; do :; done

# Sets $time, in hundredths of a second.
now() {
  if read -r time rest </proc/uptime; then time=${time%.*}${time#*.}; else time=$(date +%s)00; fi
} 2>/dev/null

# A line per process: id, parent, group, session, state.
list() {
  if [ ! -r /proc/self/stat ]; then
    ps -axo pid=,ppid=,pgid=,stat= | while read -r pid parent group state; do
      echo "$pid $parent $group 0 $state"
    done
    return
  fi
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    # The name, in brackets, may hold anything.
    set -- "${line%% *}" ${line##*) }
    echo "$1 $3 $4 $5 $2"
  done
}

# The environments that have one of $marks in them, where they can be seen.
marked() {
  if printf 'a\0b' | grep -qF b; then
    grep -lsF $marks /proc/[0-9]*/environ
  else
    # The grep of busybox stops at the first NUL.
    for environ in /proc/[0-9]*/environ; do
      tr '\0' '\n' <"$environ" | grep -qF $marks && echo "$environ"
    done
  fi 2>/dev/null
}

# Sets $running to those of the attempts that are running.
look() {
  pids=' ' found=' ' running=
  for environ in $(marked); do
    environ=${environ#/proc/}
    pids="$pids${environ%/environ} "
  done
  all=$(list)
  before=
  while [ "$before" != "$found" ]; do
    before=$found
    while read -r pid parent group session state; do
      case $found in *" $pid "*) continue ;; esac
      case "$pids/$groups/$sessions/$found" in
        *" $pid "*/*/*/* | */*" $group "*/*/* | */*/*" $session "*/* | */*/*/*" $parent "*) ;;
        *) continue ;;
      esac
      found="$found$pid "
      # 0 is whatever came from outside of this PID namespace.
      case $group in 0 | "$their_group") ;; *) groups="$groups$group " ;; esac
      case $session in 0 | "$our_session") ;; *) sessions="$sessions$session " ;; esac
      case $state in [ZXx]*) ;; *) running="$running $pid" ;; esac
    done <<EOT
$all
EOT
  done
}

# Ends the attempts of $groups and $marks.
finish() {
  sessions=' ' told=' ' calm=0
  now
  end=$((time + $1 / 10))
  # What is just being started shows its mark at the second look.
  while look; [ -n "$running" ] && calm=0 || calm=$((calm + 1)); [ "$calm" -lt 2 ]; do
    now
    if [ "$time" -ge "$((end + 1000))" ]; then return; fi
    for pid in $running; do
      if [ "$time" -ge "$end" ]; then
        kill -KILL "$pid"
      else
        case $told in *" $pid "*) continue ;; esac
        told="$told$pid "
        kill -TERM "$pid"
        kill -CONT "$pid"
      fi
    done 2>/dev/null
    sleep 0.1 2>/dev/null || sleep 1
  done
}

their_group=$1 our_session=0
{ read -r line </proc/$$/stat; } 2>/dev/null && set -- ${line##*) } && our_session=$4

table= graces=' '
while read -r pid mark grace; do
  [ -n "$grace" ] || continue
  table="$table$pid $mark $grace
"
  case $graces in *" $grace "*) ;; *) graces="$graces$grace " ;; esac
done <&1

for grace in $graces; do
  groups=' ' marks=
  while read -r pid mark of; do
    [ "$of" = "$grace" ] || continue
    marks="$marks -e $mark"
    [ "$pid" = 0 ] || groups="$groups$pid "
  done <<EOT
$table
EOT
  finish "$grace" &
done
wait
