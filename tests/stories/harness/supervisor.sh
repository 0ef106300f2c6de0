# Cleans up after a test run, however it ends: reads lines from standard input, whose other end only the test binary
# holds, and at its end (a SIGKILL closes it too) ends what was reported and removes the run's folder, $1.
#   add PID / drop PID   a process to kill
# Every `postmaster.pid` below the folder is a PostgreSQL to stop.
trap '' HUP INT TERM
root=$1
processes=' '
while read -r verb pid; do
    case $verb in
        add) processes="$processes$pid " ;;
        drop) processes="${processes%% "$pid" *} ${processes#* "$pid" }" ;;
    esac
done

for pid in $processes; do kill -KILL "$pid" 2>/dev/null; done

for file in "$root"/*/pg/postmaster.pid; do
    [ -f "$file" ] || continue
    read -r pid <"$file"
    kill -QUIT "$pid" 2>/dev/null
    # It takes the file away when it is done.
    tries=0
    while [ -f "$file" ] && [ "$tries" -lt 50 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ ! -f "$file" ] || kill -KILL "$pid" 2>/dev/null
done

# More than once: what was killed a moment ago may still have been writing.
tries=0
until rm -rf "$root" 2>/dev/null || [ "$tries" -ge 50 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
