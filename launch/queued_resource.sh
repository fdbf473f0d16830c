#!/usr/bin/env bash
# Cloud TPU VMs through the queue, of one slice or several: asked for, waited for, and then used like tpu_vm.sh's.
#
#   launch/queued_resource.sh create  vit us-west4-a --accelerator-type=v5litepod-16 \
#     --runtime-version=v2-alpha-tpuv5-lite --spot --valid-until-duration=6h
#   launch/queued_resource.sh wait    vit us-west4-a
#   launch/queued_resource.sh install vit us-west4-a
#   launch/queued_resource.sh run     vit us-west4-a -- preflight --config=configs/b16_gauss.py --workdir=/mnt/runs/b16
#   launch/queued_resource.sh run     vit us-west4-a -- train     --config=configs/b16_gauss.py --workdir=/mnt/runs/b16
#   launch/queued_resource.sh stop    vit us-west4-a
#   launch/queued_resource.sh delete  vit us-west4-a --force
#
# Words and flags are as in tpu_vm.sh. Several slices: `create ... --node-count=2`, and a config with mesh.slices=2.
# After a preemption the request is SUSPENDED and does not come back by itself: delete it, create it, and go on from
# `wait`; the same `run` resumes.
set -euo pipefail
here=${BASH_SOURCE[0]%/*}
# shellcheck source=launch/steps.sh
. "$here/steps.sh"
# shellcheck source=launch/tpu_hosts.sh
. "$here/tpu_hosts.sh"

# Waits a day at most until the TPU VMs are there.
wait_until_active() {
  local state='' previous=''
  local describe=("${tpus[@]}" describe "$name" "--zone=$zone" ${flags[@]+"${flags[@]}"} '--format=value(state.state)')
  [ -z "$dry_run" ] || { step "${describe[@]}"; return; }
  while [ $SECONDS -lt 86400 ]; do
    state=$("${describe[@]}")
    [ "$state" = "$previous" ] || echo "$name is $state" >&2
    previous=$state
    case $state in
      ACTIVE) return ;;
      FAILED | SUSPENDING | SUSPENDED | DELETING) fail "$name is $state" "$0 delete $name $zone --force, then create it" ;;
    esac
    sleep "${POLL_SECONDS:-30}"
  done
  fail "$name is still $state after a day" "wait for it again, or ask for another type or zone"
}

[ $# -ge 3 ] || fail "a step, a name and a zone are needed" "see the examples in $0"
action=$1 name=$2 zone=$3
shift 3
split_arguments "$@"
tpus=(gcloud compute tpus queued-resources) everywhere=(--node=all --worker=all)
need gcloud https://cloud.google.com/sdk/docs/install

case $action in
  create)
    # One slice is a node, which has to be named; several are counted.
    case " $* " in *" --node-count"* | *" --node-id"*) node=() ;; *) node=("--node-id=$name") ;; esac
    step "${tpus[@]}" create "$name" "--zone=$zone" ${node[@]+"${node[@]}"} ${flags[@]+"${flags[@]}"}
    ;;
  delete) step "${tpus[@]}" delete "$name" "--zone=$zone" ${flags[@]+"${flags[@]}"} ;;
  wait) wait_until_active ;;
  install) install_code ;;
  run) run_program ;;
  stop) stop_program ;;
  *) fail "there is no step $action" "choose create, wait, install, run, stop or delete" ;;
esac
