#!/bin/sh
# The same as `runbook notify`: same flags, same exit codes.
self=$0
while [ -L "$self" ]; do
    to=$(readlink -- "$self") || exit 2
    case $to in
        /*) self=$to ;;
        *) self=$(dirname -- "$self")/$to ;;
    esac
done
exec sh "$(dirname -- "$self")/hand_on.sh" notify "$@"
