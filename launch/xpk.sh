#!/usr/bin/env bash
# TPU slices of a GKE cluster that xpk made: an image with this code, and a workload that runs it on every host.
#
#   launch/xpk.sh image  us-docker.pkg.dev/project/images/gauss_vit:1
#   launch/xpk.sh run    b16 us-docker.pkg.dev/project/images/gauss_vit:1 --cluster=pods --zone=us-west4-a \
#     --tpu-type=v5litepod-16 -- train --config=configs/b16_gauss.py --workdir=/mnt/runs/b16
#   launch/xpk.sh logs   b16
#   launch/xpk.sh delete b16 --cluster=pods --zone=us-west4-a
#
# The words are the step, then the workload's name and the image. What stands before -- goes to the tool (docker, xpk,
# kubectl), what stands after it to gauss-vit on every host. A workload that is preempted, or that loses a host, starts
# again and resumes, 50 times at most. Several slices: --num-slices=2, and a config with mesh.slices=2. --dry-run as the
# first word prints the commands and runs none. Call it in the root of the repository.
set -euo pipefail
here=${BASH_SOURCE[0]%/*}
# shellcheck source=launch/steps.sh
. "$here/steps.sh"

# Builds the image and uploads it.
build_image() {
  need docker https://docs.docker.com/engine/install
  step docker build --platform=linux/amd64 --file=launch/Dockerfile.tpu "--tag=$1" ${flags[@]+"${flags[@]}"} .
  step docker push "$1"
}

# Starts a workload. xpk starts one again that ends with 42 or 127 to 255, killed by a signal, if it may restart at all;
# 6 is gauss-vit's status where another process was lost. Two minutes are for saving after SIGTERM, instead of xpk's 30 s.
run_workload() {
  [ ${#arguments[@]} -gt 0 ] || fail "run was given nothing to run" "add -- and the arguments of gauss-vit"
  need xpk https://github.com/AI-Hypercomputer/xpk
  step xpk workload create "--workload=$1" "--docker-image=$2" --max-restarts=50 --restart-on-exit-codes=6 \
    --termination-grace-period-seconds=120 ${flags[@]+"${flags[@]}"} \
    "--command=exec gauss-vit $(quoted "${arguments[@]}")"
}

# Shows what all hosts of a workload print, from now on.
follow_logs() {
  need kubectl https://kubernetes.io/docs/tasks/tools
  step kubectl logs --follow --prefix --max-log-requests=256 "--selector=xpk.google.com/workload=$1" \
    ${flags[@]+"${flags[@]}"}
}

# Ends a workload; each process saves first.
delete_workload() {
  need xpk https://github.com/AI-Hypercomputer/xpk
  step xpk workload delete "--workload=$1" ${flags[@]+"${flags[@]}"}
}

[ $# -ge 2 ] || fail "a step and a name are needed" "see the examples in $0"
action=$1 name=$2
shift 2
image=
if [ "$action" = run ]; then
  image=${1-}
  case $image in '' | -*) fail "run needs the image after the workload's name" "build one with $0 image NAME" ;; esac
  shift
fi
split_arguments "$@"

case $action in
  image) build_image "$name" ;;
  run) run_workload "$name" "$image" ;;
  logs) follow_logs "$name" ;;
  delete) delete_workload "$name" ;;
  *) fail "there is no step $action" "choose image, run, logs or delete" ;;
esac
