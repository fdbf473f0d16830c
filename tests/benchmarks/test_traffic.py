"""The count of what a compiled program does, on programs small enough to count by hand."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import ahead_program, traffic
from benchmarks.traffic import Work

TABLE = "f32[4,100]{1,0}"
"""An array of 1,600 bytes, a row of which has 400."""


def counted(entry: str, *computations: str) -> Work:
    """Counts the work of a program of lines, and of further computations as `name: lines`."""
    texts = ["HloModule test, entry_computation_layout={()->f32[]}", *(block(each, "") for each in computations)]
    return traffic.work_of(ahead_program.parse("\n".join([*texts, block(f"main:{entry}", "ENTRY ")])))


def block(computation: str, prefix: str) -> str:
    name, _, lines = computation.partition(":")
    indented = "\n".join(f"  {line.strip()}" for line in lines.strip().splitlines())
    return f"{prefix}%{name.strip()} (x: f32[]) -> f32[] {{\n{indented}\n}}\n"


def fused(lines: str, *operands: str, result: str) -> Work:
    """Counts the work of one fusion of given operands."""
    parameters = "\n".join(f"%o{place} = {shape} parameter({place})" for place, shape in enumerate(operands))
    names = ", ".join(f"%o{place}" for place in range(len(operands)))
    return counted(f"{parameters}\nROOT %f = {result} fusion({names}), kind=kLoop, calls=%inside", f"inside:{lines}")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("bf16[2,3]{1,0:T(8,128)(2,1)S(1)}", 12),
        ("(f32[2]{0}, /*index=5*/(pred[3]{0}, s64[]))", 8 + 3 + 8),
        ("f8e4m3fn[7]{0}", 7),
        ("s4[6]{0}", 3),
        ("c64[2]{0}", 16),
        ("f32[<=8]{0}", 32),
        ("(token[], u8[0]{0})", 0),
    ],
)
def test_an_array_weighs_its_elements(shape, expected):
    assert sum(array.num_bytes for array in ahead_program.arrays_of(shape)) == expected


def test_a_kernel_reads_every_operand_once_and_writes_its_result():
    work = counted(f"%x = {TABLE} parameter(0)\nROOT %y = {TABLE} multiply(%x, %x)")
    assert work == Work(kernels=1, read_bytes=1600, written_bytes=1600)


def test_names_for_what_is_there_already_cost_nothing():
    work = counted(
        f"""%x = ({TABLE}, f32[]) parameter(0)
        %part = {TABLE} get-tuple-element(%x), index=0
        %flat = f32[400]{{0}} bitcast(%part)
        %one = f32[] constant(1)
        ROOT %t = (f32[400]{{0}}, f32[]) tuple(%flat, %one)"""
    )
    assert work == Work()


def test_a_copy_reads_and_writes_and_its_end_is_free():
    synchronous = counted(f"%x = {TABLE} parameter(0)\nROOT %y = {TABLE} copy(%x)")
    asynchronous = counted(
        f"""%x = {TABLE} parameter(0)
        %s = ({TABLE}, {TABLE}, u32[]{{:S(2)}}) copy-start(%x)
        ROOT %d = {TABLE} copy-done(%s)"""
    )
    assert synchronous == asynchronous == Work(kernels=1, read_bytes=1600, written_bytes=1600)


@pytest.mark.parametrize(
    ("start", "written"),
    [
        ("f32[4]{0} all-reduce-start(%x), to_apply=%add", 16),
        ("(f32[4]{0}, f32[4]{0}) all-reduce-start(%x, %x), to_apply=%add", 32),
        ("(f32[4]{0}, f32[8]{0}) all-gather-start(%x), dimensions={0}", 32),
        ("((f32[4]{0:T(128)}), f32[2]{0:T(128)}, s32[]) slice-start(%x), slice={[0:2]}", 8),
    ],
)
def test_an_asynchronous_kernel_writes_its_result_alone(start, written):
    work = counted(f"%x = f32[4]{{0}} parameter(0)\n%s = {start}\nROOT %d = f32[4]{{0}} all-done(%s)")
    assert work == Work(kernels=1, read_bytes=16, written_bytes=written)


def test_the_computation_of_an_asynchronous_call_counts():
    work = counted(
        f"""%x = {TABLE} parameter(0)
        %s = (({TABLE}), {TABLE}, u32[]) async-start(%x), calls=%side
        ROOT %d = {TABLE} async-done(%s)""",
        f"side: %p = {TABLE} parameter(0)\n%n = {TABLE} negate(%p)\nROOT %e = {TABLE} exponential(%n)",
    )
    assert work == Work(kernels=2, read_bytes=3200, written_bytes=3200)


def test_a_fusion_reads_its_slices_of_an_operand():
    work = fused(
        f"""%p = {TABLE} parameter(0)
        %flat = f32[400]{{0}} bitcast(%p)
        %first = f32[100]{{0}} slice(%flat), slice={{[0:100]}}
        %at = s32[] parameter(1)
        %zero = s32[] constant(0)
        %row = f32[1,100]{{1,0}} dynamic-slice(%p, %at, %zero), dynamic_slice_sizes={{1,100}}
        %second = f32[100]{{0}} bitcast(%row)
        ROOT %sum = f32[100]{{0}} add(%first, %second)""",
        TABLE,
        "s32[]",
        result="f32[100]{0}",
    )
    assert work == Work(kernels=1, read_bytes=2 * 400 + 4, written_bytes=400)


def test_slices_cost_at_most_the_operand_and_other_uses_all_of_it():
    slices = "\n".join(f"%s{place} = f32[3,100]{{1,0}} slice(%p), slice={{[0:3], [0:100]}}" for place in range(2))
    overlapping = fused(
        f"%p = {TABLE} parameter(0)\n{slices}\nROOT %sum = f32[3,100]{{1,0}} add(%s0, %s1)",
        TABLE,
        result="f32[3,100]{1,0}",
    )
    reduced = fused(
        f"""%p = {TABLE} parameter(0)
        %row = f32[1,100]{{1,0}} slice(%p), slice={{[0:1], [0:100]}}
        %zero = f32[] constant(0)
        %total = f32[] reduce(%p, %zero), dimensions={{0,1}}, to_apply=%add
        ROOT %t = (f32[1,100]{{1,0}}, f32[]) tuple(%row, %total)""",
        TABLE,
        result="(f32[1,100]{1,0}, f32[])",
    )
    assert (overlapping.read_bytes, reduced.read_bytes) == (1600, 1600)
    assert reduced.written_bytes == 404


def test_a_converted_operand_counts_in_its_own_type():
    work = fused(
        """%p = bf16[8]{0} parameter(0)
        %wide = f32[8]{0} convert(%p)
        %half = f32[4]{0} slice(%wide), slice={[0:4]}
        %q = bf16[4]{0} parameter(1)
        %other = f32[4]{0} convert(%q)
        ROOT %y = f32[4]{0} add(%half, %other)""",
        "bf16[8]{0}",
        "bf16[4]{0}",
        result="f32[4]{0}",
    )
    assert work == Work(kernels=1, read_bytes=4 * 2 + 4 * 2, written_bytes=16)


def test_an_operand_that_is_not_used_is_not_read():
    lines = "%p = f32[8]{0} parameter(0)\n%q = f32[4]{0} parameter(1)\nROOT %y = f32[4]{0} negate(%q)"
    assert fused(lines, "f32[8]{0}", "f32[4]{0}", result="f32[4]{0}").read_bytes == 16


def test_a_fused_update_in_place_costs_its_slice():
    work = fused(
        f"""%p = {TABLE} parameter(0)
        %flat = f32[400]{{0}} bitcast(%p)
        %new = bf16[100]{{0}} parameter(1)
        %wide = f32[100]{{0}} convert(%new)
        %at = s32[] parameter(2)
        %done = f32[400]{{0}} dynamic-update-slice(%flat, %wide, %at)
        %table = {TABLE} bitcast(%done)
        ROOT %t = ({TABLE}, f32[100]{{0}}) tuple(%table, %wide)""",
        TABLE,
        "bf16[100]{0}",
        "s32[]",
        result=f"({TABLE}, f32[100]{{0}})",
    )
    assert work == Work(kernels=1, read_bytes=200 + 4, written_bytes=400 + 400)


@pytest.mark.parametrize(
    ("of", "result"),
    [
        (f"%of = {TABLE} bitcast(%p)", f"ROOT %y = {TABLE} negate(%done)"),
        (f"%of = {TABLE} negate(%p)", f"ROOT %y = {TABLE} bitcast(%done)"),
    ],
)
def test_an_update_of_what_is_computed_or_computed_with_costs_all(of, result):
    work = fused(
        f"""%p = {TABLE} parameter(0)
        %new = f32[1,100]{{1,0}} parameter(1)
        %zero = s32[] constant(0)
        {of}
        %done = {TABLE} dynamic-update-slice(%of, %new, %zero, %zero)
        {result}""",
        TABLE,
        "f32[1,100]{1,0}",
        result=TABLE,
    )
    assert work == Work(kernels=1, read_bytes=1600 + 400, written_bytes=1600)


def test_slices_and_updates_that_are_kernels_cost_their_slices():
    work = counted(
        f"""%x = {TABLE} parameter(0)
        %at = s32[] parameter(1)
        %row = f32[1,100]{{1,0}} dynamic-slice(%x, %at, %at), dynamic_slice_sizes={{1,100}}
        ROOT %y = {TABLE} dynamic-update-slice(%x, %row, %at, %at)"""
    )
    assert work == Work(kernels=2, read_bytes=2 * (400 + 4), written_bytes=2 * 400)


BODY = f"body: %p = (s32[], {TABLE}) parameter(0)\n%x = {TABLE} get-tuple-element(%p), index=1\n%y = {TABLE} negate(%x)"
CONDITION = """condition: %p = (s32[], f32[4]) parameter(0)
    %i = s32[] get-tuple-element(%p), index=0
    %limit = s32[] constant(7)
    ROOT %more = pred[] compare(%i, %limit), direction="""


@pytest.mark.parametrize(
    ("trips", "direction", "expected"),
    [
        (', backend_config={"known_trip_count":{"n":"12"},"x":{}}', "LT", (12, 0)),
        ("", "LT", (7, 0)),
        ("", "NE", (1, 1)),
    ],
)
def test_a_loop_counts_as_often_as_it_turns(trips, direction, expected):
    loop = f"ROOT %w = (s32[], {TABLE}) while(%x), condition=%condition, body=%body{trips}"
    work = counted(f"%x = (s32[], {TABLE}) parameter(0)\n{loop}", BODY, CONDITION + direction)
    kernels, unknown = expected
    size = 1600 * kernels
    assert work == Work(kernels=kernels, read_bytes=size, written_bytes=size, unknown_loops=unknown)


def test_of_branches_the_costliest_counts():
    work = counted(
        f"""%i = s32[] parameter(0)
        %x = {TABLE} parameter(1)
        ROOT %c = {TABLE} conditional(%i, %x, %x), branch_computations={{%nothing, %something}}""",
        f"nothing: ROOT %p = {TABLE} parameter(0)",
        f"something: %p = {TABLE} parameter(0)\nROOT %n = {TABLE} negate(%p)",
    )
    assert work == Work(kernels=1, read_bytes=1600, written_bytes=1600)


def test_a_call_costs_what_it_calls():
    work = counted(
        f"%x = {TABLE} parameter(0)\nROOT %c = {TABLE} call(%x), to_apply=%f",
        f"f: %p = {TABLE} parameter(0)\nROOT %n = {TABLE} negate(%p)",
    )
    assert work.kernels == 1


def test_a_product_of_cublas_counts_without_its_workspace():
    work = counted(
        """%a = bf16[8,16]{1,0} parameter(0)
        %b = bf16[16,32]{1,0} parameter(1)
        ROOT %y = (bf16[8,32]{1,0}, s8[33554432]{0}) custom-call(%a, %b), custom_call_target="__cublas$lt$matmul", """
        'backend_config={"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"],'
        '"rhs_contracting_dimensions":["0"]},"epilogue":"DEFAULT"}}'
    )
    size = 2 * (8 * 16 + 16 * 32)
    assert work == Work(kernels=1, read_bytes=size, written_bytes=2 * 8 * 32, flops=2 * 8 * 32 * 16)


@pytest.mark.parametrize(("suffix", "products"), [("", 2), ("Backward", 5)])
def test_cudnns_attention_counts_its_products(suffix, products):
    queries = "bf16[2,196,6,64]{3,2,1,0}"
    work = counted(
        f"""%q = {queries} parameter(0)
        ROOT %y = ({queries}, u8[64]{{0}}) custom-call(%q, %q), """
        f'custom_call_target="__cudnn$fmhaScaleBiasSoftmax{suffix}", backend_config={{"cudnn_fmha_backend_config": '
        '{"fmha_scale": 0.125, "intermediate_tensor_shape": {"element_type": "BF16", "dimensions": '
        '["2", "6", "196", "196"], "tuple_shapes": []}, "mask_type": "NO_MASK"}}'
    )
    assert work.flops == products * 2 * (2 * 6 * 196 * 196) * 64
    assert work.written_bytes == 2 * 2 * 196 * 6 * 64


INPUTS, OUTPUTS, FILTERS = "bf16[4,8,8,16]{3,2,1,0}", "bf16[4,8,8,32]{3,2,1,0}", "bf16[32,3,3,16]{3,2,1,0}"


@pytest.mark.parametrize(
    ("direction", "first", "second", "result"),
    [
        ("Forward", INPUTS, FILTERS, OUTPUTS),
        ("BackwardInput", OUTPUTS, FILTERS, INPUTS),
        ("BackwardFilter", INPUTS, OUTPUTS, FILTERS),
    ],
)
def test_a_convolution_of_cudnn_counts_the_same_in_each_direction(direction, first, second, result):
    work = counted(
        f"""%x = {first} parameter(0)
        %y = {second} parameter(1)
        ROOT %c = ({result}, u8[512]{{0}}) custom-call(%x, %y), window={{size=3x3 pad=1_1x1_1}}, """
        f'dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$conv{direction}", backend_config={{}}'
    )
    assert work.flops == 2 * (4 * 8 * 8 * 32) * (3 * 3 * 16)
    assert work.traffic_bytes == 2 * (4 * 8 * 8 * (16 + 32) + 32 * 3 * 3 * 16)


def test_products_inside_of_triton_fusions_count():
    work = counted(
        """%a = bf16[3,8,16]{2,1,0} parameter(0)
        %b = f32[3,16,32]{2,1,0} parameter(1)
        ROOT %y = bf16[3,8,32]{2,1,0} fusion(%a, %b), kind=kCustom, calls=%gemm""",
        """gemm: %a = bf16[3,8,16]{2,1,0} parameter(0)
        %b = f32[3,16,32]{2,1,0} parameter(1)
        %left = bf16[3,8,16]{2,1,0} fusion(%a), kind=kCustom, calls=%pass
        %right = bf16[3,16,32]{2,1,0} convert(%b)
        %d = f32[3,8,32]{2,1,0} dot(%left, %right), lhs_batch_dims={0}, lhs_contracting_dims={2}, """
        """rhs_batch_dims={0}, rhs_contracting_dims={1}
        ROOT %y = bf16[3,8,32]{2,1,0} convert(%d)""",
        "pass: ROOT %p = bf16[3,8,16]{2,1,0} parameter(0)",
    )
    size = 2 * 3 * 8 * 16 + 4 * 3 * 16 * 32
    assert work == Work(kernels=1, read_bytes=size, written_bytes=2 * 3 * 8 * 32, flops=2 * 3 * 8 * 32 * 16)


def test_cycles_count_where_operations_run_and_not_inside_of_fusions():
    cycles = 'backend_config={"window_config":{"estimated_cycles":"%d"}}'
    work = counted(
        f"""%x = (s32[], {TABLE}) parameter(0)
        %w = (s32[], {TABLE}) while(%x), condition=%condition, body=%body
        %y = {TABLE} get-tuple-element(%w), index=1
        ROOT %f = {TABLE} fusion(%y), kind=kLoop, calls=%inside, {cycles % 5}""",
        f"inside: %p = {TABLE} parameter(0)\nROOT %n = {TABLE} negate(%p), {cycles % 1000}",
        f"{BODY}, {cycles % 100}",
        f"{CONDITION}LT",
    )
    assert work.cycles == 7 * 100 + 5


def test_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="no computation is its entry"):
        ahead_program.parse("HloModule empty")


def test_what_xla_writes_of_a_loop_over_products_is_counted():
    def chain(tokens, layers):
        return jax.lax.scan(lambda carry, layer: (jnp.tanh(carry @ layer), None), tokens, layers)[0]

    shapes = jax.ShapeDtypeStruct((32, 16), jnp.float32), jax.ShapeDtypeStruct((5, 16, 16), jnp.float32)
    work = traffic.work_of(ahead_program.parse(jax.jit(chain).lower(*shapes).compile().as_text()))
    assert work.flops == 5 * 2 * 32 * 16 * 16
    # Every layer is read and every turn reads and writes the tokens, at least.
    assert 5 * 4 * (16 * 16 + 2 * 32 * 16) <= work.traffic_bytes < 10 * 5 * 4 * (16 * 16 + 2 * 32 * 16)
