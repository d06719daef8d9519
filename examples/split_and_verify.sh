#!/bin/sh
# From a model to a pipeline that is proven to compute the same, and a look at what it would do on Edge TPUs.
#   split_and_verify.sh [MODEL] [TPUS] [FOLDER]
set -eu
model=${1:-zoo:resnet50@96} tpus=${2:-3} folder=${3:-parts}

segue plan "$model" --tpus "$tpus"
segue split "$model" --tpus "$tpus" -o "$folder"
segue verify "$model" "$folder"
segue simulate "$folder/plan.json" --inputs 50
segue run "$folder" --backend cpu --inputs 4
