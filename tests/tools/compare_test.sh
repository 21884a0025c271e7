#!/usr/bin/env bash
# Other programs compute what FlashLM does, or understand what it serves: trains a small model of the preset gpt-qwen3
# and hands it to one of the comparisons of tools/. Ends with 77 (skipped) where Python lacks MODULE.
# Usage: compare_test.sh FLASHLM PYTHON MODULE TOOL
set -euo pipefail
flashlm=$1 python=$2 module=$3 tool=$4
"$python" -c "import $module" 2>/dev/null || { echo "skipped: no $module"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$flashlm" --quiet data prepare --input synthetic --out "$scratch/data" --vocab 512 --synthetic-bytes 300000
"$flashlm" --quiet train --preset gpt-qwen3 --data "$scratch/data" --out "$scratch/run" --steps 60 --seed 3 \
  --set model.d_model=64 --set model.n_layers=3 --set model.kv_heads=2 --set model.d_head=16 --set model.d_ff=96 \
  --set train.sequence_length=128
text=(--text "$scratch/data/valid.txt")
[ "$module" != lm_eval ] || text=()  # it makes its own
exec "$python" "$tool" "$scratch/run" --flashlm "$flashlm" "${text[@]}"
