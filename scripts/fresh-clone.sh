#!/usr/bin/env bash
# A stranger's first minutes: clones this repository's committed state into an empty folder and runs what the README
# says there, from another working folder too. Slow (a full set-up, build and test); not part of the tests.
#
#   scripts/fresh-clone.sh           set-up, doctor, a second set-up in under two seconds, tests
#   scripts/fresh-clone.sh --demo    the demo as well, interrupted once
set -euo pipefail

source=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)/dualvla
trap 'rm -rf "$(dirname "$folder")"' EXIT
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

git clone -q "$source" "$folder"
(cd "$folder" && npx dualvla doctor || true)
(cd / && node "$folder/scripts/setup.mjs" --test)
started=$(date +%s%N)
(cd / && node "$folder/scripts/setup.mjs" --test)
took=$((($(date +%s%N) - started) / 1000000))
[ "$took" -lt 2000 ] || fail "a repeated set-up took $took ms"
(cd "$folder" && npx dualvla doctor) || fail 'the doctor is not content after set-up'
[ -z "$(git -C "$folder" status --porcelain)" ] || fail 'set-up changed tracked files or left untracked ones'
(cd "$folder" && npm test)

if [ "${1-}" = --demo ]; then
  cd "$folder"
  timeout --signal=INT 150 npm run demo || true
  npm run demo | tee demo.log
  report=$(tail -n 1 demo.log)
  [ -s "$report" ] || fail "the demo's last line is no file: $report"
  node -e 'const r = JSON.parse(require("fs").readFileSync("outputs/demo/result.json")); console.log(JSON.stringify(r, null, 2))'
fi
printf 'fresh clone: all as the README says\n'
