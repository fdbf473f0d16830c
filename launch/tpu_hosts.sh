# shellcheck shell=bash
# What one does on all hosts of TPU VMs, for tpu_vm.sh and queued_resource.sh, which source it.
#
# The caller sets `tpus`, gcloud's words for its kind of resource, and `everywhere`, the flags that mean all hosts,
# besides name, zone, flags and arguments.
# shellcheck disable=SC2154

# The code, as the Dockerfiles take it.
files=(gauss_vit configs pyproject.toml constraints.txt README.md LICENSE)

# Runs a line of shell on every host; gcloud ends with the status of a host where it failed.
on_all_hosts() {
  step "${tpus[@]}" ssh "$name" "--zone=$zone" "${everywhere[@]}" ${flags[@]+"${flags[@]}"} "--command=$1"
}

# Copies this code to every host and installs it with Python 3.12, as the hosts' own Python may be too old.
install_code() {
  on_all_hosts 'rm -rf gauss_vit/gauss_vit gauss_vit/configs && mkdir -p gauss_vit'
  step "${tpus[@]}" scp "${files[@]}" "$name:gauss_vit/" --recurse "--zone=$zone" "${everywhere[@]}" \
    ${flags[@]+"${flags[@]}"}
  on_all_hosts "cd gauss_vit && python3 -m pip install --user --quiet uv\
 && python3 -m uv venv --allow-existing --python=3.12 .venv\
 && python3 -m uv pip install --python=.venv --constraint=constraints.txt --editable='.[tpu,digits,simd,tfds]' gcsfs"
}

# Runs gauss-vit on every host at once, until it ends.
run_program() {
  [ ${#arguments[@]} -gt 0 ] || fail "run was given nothing to run" "add -- and the arguments of gauss-vit"
  # The shell's variable is the remote one's; `exec` keeps the process id that `stop` reads.
  # shellcheck disable=SC2016
  on_all_hosts 'cd gauss_vit && echo $$ >run.pid && exec .venv/bin/gauss-vit '"$(quoted "${arguments[@]}")"
}

# Asks gauss-vit on every host to save and end.
stop_program() {
  on_all_hosts 'pkill -TERM --pidfile gauss_vit/run.pid --full gauss-vit'
}
