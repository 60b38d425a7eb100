#!/bin/sh
# check.sh clean|broken MODEL NAME [-DOPTION ...]: search all states of MODEL.pml with those options.
# Succeeds if the search was complete and found nothing (clean), or if it found an error (broken).
set -eu
want=$1 model=$2 name=$3
shift 3
folder=../build/model/$name
mkdir -p "$folder"
cp ./*.pml "$folder"
cd "$folder"
spin "$@" -a "$model.pml"
# pan.c is Spin's, so its warnings are not ours.
${CC:-cc} -w -O2 -DSAFETY -DCOLLAPSE ${PAN_FLAGS:-} -o pan pan.c
./pan -m10000 ${PAN_OPTIONS:-} > pan.log 2>&1 || true
errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
found=$(sed -n 's/^pan:1: //p' pan.log)
echo "$name ($*): $states states, ${errors:-?} errors${found:+: $found}"
case "$want:$errors" in
  clean:0) ! grep -e "max search depth" -e "out of memory" -e "not completed" pan.log ;;
  broken:[1-9]*) ;;
  *) echo "$name: expected it to be $want; see $folder/pan.log" >&2; exit 1 ;;
esac
