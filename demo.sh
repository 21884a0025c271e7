#!/usr/bin/env bash
# From nothing to a model that writes stories: installs what is missing, builds, trains, evaluates, generates.
set -euo pipefail
from=$PWD
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
Usage: ./demo.sh [--data synthetic|tinystories|FILE|DIR] [--time 3m] [--preset NAME]

  --data    what to train on. synthetic: made-up stories, no download (default); tinystories: 2.2 GB from the
            Hugging Face hub; FILE or DIR: your own text, or a folder that `flashlm data prepare` has made
  --time    how long to train, as 90s, 10m or 2h (default 3m)
  --preset  which model, a name in presets/ or a .toml file (default flagship, whose size the time chooses)

The run goes to runs/demo, or to runs/demo-2, runs/demo-3 and so on: nothing of an earlier run is touched.
TEXT
}
usage_error() { echo "demo: $1 (see ./demo.sh --help)" >&2; exit 2; }

data=synthetic time=3m preset=flagship
while (($# > 0)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --data=* | --time=* | --preset=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --data | --time | --preset)
      (($# > 1)) && [[ -n $2 ]] || usage_error "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift 2 ;;
    *) usage_error "unknown option '$1'" ;;
  esac
done

heading() {
  if [[ -t 1 ]]; then printf '\n\033[1m%s\033[0m\n' "$1"; else printf '\n== %s\n' "$1"; fi
}

case $data in
  synthetic | tinystories) folder=data/$data ;;
  *)
    [[ $data == /* ]] || data=$(realpath --no-symlinks --relative-base=. "$from/$data")
    [[ -e $data ]] || usage_error "--data: there is no '$data'"
    name=$(basename "$data")
    folder=data/${name%.txt} ;;
esac
run=runs/demo
for ((n = 2; ; ++n)); do
  [[ -e $run ]] || break
  [[ ! -e $run/latest || -e $run/results.json ]] || echo "$run did not finish; to go on with it: build/release/flashlm train --resume $run"
  run=runs/demo-$n
done

heading "1. Build"
tools/build.sh flashlm
flashlm=build/release/flashlm

heading "2. Data"
if [[ -d $data && -e $data/meta.json ]]; then
  folder=${data%/}
  echo "$folder is prepared already"
else
  $flashlm data prepare --input "$data" --out "$folder"
fi

heading "3. Train for $time"
$flashlm train --preset "$preset" --data "$folder" --out "$run" --time "$time"

heading "4. Evaluate on text that it has not seen"
$flashlm eval --model "$run" --text "$folder/valid.txt"

heading "5. Three stories"
seed=0
for prompt in "Once upon a time" "One day, a girl named Lily" "Tim had a"; do
  $flashlm --quiet generate --model "$run" -p "$prompt" -n 160 --temp 0.8 --seed $((++seed))
  echo
done

heading "Where things lie"
printf '  %-24s%s\n' "$run" "settings (config.toml), log, samples, results.json, checkpoints" \
  "$folder" "tokens, tokenizer and validation text" "$flashlm" "the program; it explains itself with --help"
cat <<TEXT

What to try next
  $flashlm serve --model $run    and open http://127.0.0.1:8080/ : write with it, and see what it thinks
  $flashlm generate --model $run -p "The little fox"
  ./demo.sh --data tinystories --time 1h
  ./demo.sh --data my-text.txt
TEXT
