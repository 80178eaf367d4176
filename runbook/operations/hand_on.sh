#!/bin/sh
# hand_on.sh COMMAND [ARGUMENT]...: runs `runbook COMMAND ...` with the Python of this installation.
# The other files of this directory call it; its exit code is the command's.
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd) || exit 2
root=$(dirname -- "$(dirname -- "$here")")
case $root in
    */site-packages) beside=$root/../../../bin/python3 ;;   # installed into an environment
    *) beside=$root/.venv/bin/python ;;                     # a checkout after `make setup`
esac
[ -x "$beside" ] || beside=python3
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH
# -P: a directory called runbook in the working directory must not be taken for ours
exec "$beside" -P -m runbook "$@"
