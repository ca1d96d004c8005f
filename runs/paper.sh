#!/bin/sh
# Everything in results/: the three regimes of docs/replication.md, every model and ablation, the registered training seeds.
#
#   runs/paper.sh                                        all of it: days on two cores; it says how long before each regime
#   runs/paper.sh --only specialist,base,continued       some models and what they are made from; the rest another time
#   SEEDS=1-4 REGIMES=discrete runs/paper.sh             other seeds, fewer regimes
#   REGIMES=discrete runs/paper.sh --given specialist=models/specialist           from the specialists of results/, which ship:
#   REGIMES=frozen runs/paper.sh --given specialist=models/specialist-frozen      only so do seeds join those that are there
#   OUT=/big/disk/paper runs/paper.sh --jobs 8           more steps at a time; words go to 'dualvla study run'
#
# Stopped (Ctrl-C, kill, power), the same command continues. A GPU is used where there is one (--device cpu: not).
set -eu
cd "$(dirname "$0")/.."
REGIMES="${REGIMES:-discrete frozen flow}"
SEEDS="${SEEDS:-1-8}"
OUT="${OUT:-outputs}"

folders=""
for regime in $REGIMES; do
  node bin/dualvla.js study run "paper-$regime" --output "$OUT/paper-$regime" --seeds "$SEEDS" "$@"
  folders="$folders $OUT/paper-$regime"
done
# shellcheck disable=SC2086 # one word a folder
node bin/dualvla.js study report $folders --out results
