#!/usr/bin/env bash
# A Cloud TPU VM, from one host to a whole pod: made, given this code, and running one command on all of its hosts.
#
#   launch/tpu_vm.sh create  vit us-west4-a --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite --spot
#   launch/tpu_vm.sh install vit us-west4-a
#   launch/tpu_vm.sh run     vit us-west4-a -- preflight --config=configs/b16_gauss.py --workdir=/mnt/runs/b16
#   launch/tpu_vm.sh run     vit us-west4-a -- train     --config=configs/b16_gauss.py --workdir=/mnt/runs/b16
#   launch/tpu_vm.sh stop    vit us-west4-a
#   launch/tpu_vm.sh delete  vit us-west4-a
#
# The words are the step, the name and the zone. What stands before -- goes to gcloud, what stands after it to gauss-vit
# on every host, in the copy of this code. The same `run` resumes, also on a new TPU VM. --dry-run as the first word
# prints the commands and runs none. Call it in the root of the repository; docs/pods.md has the whole way.
set -euo pipefail
here=${BASH_SOURCE[0]%/*}
# shellcheck source=launch/steps.sh
. "$here/steps.sh"
# shellcheck source=launch/tpu_hosts.sh
. "$here/tpu_hosts.sh"

[ $# -ge 3 ] || fail "a step, a name and a zone are needed" "see the examples in $0"
action=$1 name=$2 zone=$3
shift 3
split_arguments "$@"
tpus=(gcloud compute tpus tpu-vm) everywhere=(--worker=all)
need gcloud https://cloud.google.com/sdk/docs/install

case $action in
  create | delete) step "${tpus[@]}" "$action" "$name" "--zone=$zone" ${flags[@]+"${flags[@]}"} ;;
  install) install_code ;;
  run) run_program ;;
  stop) stop_program ;;
  *) fail "there is no step $action" "choose create, install, run, stop or delete" ;;
esac
