"""What the benchmarks need on a machine without a network."""

from benchmarks.wheels import name_of, remove_present, requirements


def test_requirements_are_those_of_the_project_and_of_a_gpu():
    names = {name_of(line) for line in requirements(peers=False)}
    assert {"jax", "flax", "optax", "orbax-checkpoint", "simplejpeg"} <= names
    assert "timm" not in names
    assert "timm" in {name_of(line) for line in requirements(peers=True)}
    assert any(line.startswith("jax[cuda") for line in requirements(peers=False))


def test_what_the_machine_has_is_not_fetched():
    names = {name_of(line) for line in requirements(peers=True, have=["JAX==0.11.2", "orbax_checkpoint==0.12.8"])}
    assert not names & {"jax", "orbax-checkpoint"}


def test_wheels_that_dependencies_brought_along_are_removed(tmp_path):
    for name in ("jaxlib-0.11.2-cp312-cp312-manylinux_2_27_x86_64.whl", "ml_collections-1.1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"")
    remove_present(tmp_path, ["jaxlib==0.11.2"])
    assert [path.name for path in tmp_path.iterdir()] == ["ml_collections-1.1.0-py3-none-any.whl"]
