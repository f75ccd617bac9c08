r"""Compiled loops over the steps of a recurrence, for float32 on the CPU.

A kernel runs all steps for some rows of the batch, in one thread: rows do not depend on each other,
so that threads with other rows never wait. It computes on vectors of ``LANES`` neighbouring hidden
units, which read like scalars. The matrix product of a step keeps its sums in registers, and what
is element-wise follows while they are near.

Everything compiled stands in this file: numba's cache on disk notices a change of the file that a
kernel stands in, and of no other.
"""

from __future__ import annotations

import operator

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, typing
from numba.core.registry import cpu_target
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
"""Hidden units in a vector; LLVM splits it where the processor's registers are shorter."""
GATES = 4
ROWS = 6
"""Most rows of a block: 6 rows of 64 sums take 24 of 32 long registers."""
FEATURES = cpu_target.target_context.codegen().magic_tuple()[-1]
WIDTH = 64 if "+avx512f" in FEATURES else 16
"""Columns of a panel of weights: as many as have their sums in registers at once."""

# -- vectors ---------------------------------------------------------------------------------------


class _Vector(types.Type):
    """Numba's type of numbers side by side: of float32, or of truth values for a mask."""

    def __init__(self, lanes, element=ir.FloatType()):  # noqa: B008 a type is a constant
        self.llvm = ir.VectorType(element, lanes)
        super().__init__(name=f"Vector({self.llvm})")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


UNITS, MASK, PANEL = _Vector(LANES), _Vector(LANES, ir.IntType(1)), _Vector(WIDTH)


def _splat(builder, value, lanes):
    """Write one value into all lanes."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    zeros = ir.VectorType(ir.IntType(32), lanes)(None)
    return builder.shuffle_vector(first, undefined, zeros)


def _number(builder, value):
    """Write a float64 into all lanes of a vector of units."""
    return _splat(builder, builder.fptrunc(value, ir.FloatType()), LANES)


def _pointer(context, builder, array, value, index):
    """Point at an element of an array."""
    struct = context.make_array(array)(context, builder, value)
    return cgutils.get_item_pointer(context, builder, array, struct, index, wraparound=False)


def _define_operator(function, instruction):
    """Let numba apply an operator to two vectors, or to a vector and a number."""
    pairs = [(UNITS, UNITS), (UNITS, types.float64), (types.float64, UNITS)]
    cases = [typing.signature(UNITS, *pair) for pair in pairs]
    infer_global(function)(type(instruction, (ConcreteTemplate,), {"cases": cases}))

    def build(context, builder, signature, values):
        operands = [
            value if kind == UNITS else _number(builder, value)
            for kind, value in zip(signature.args, values, strict=True)
        ]
        # "contract" makes one instruction of a product and a sum, where the processor has it.
        return getattr(builder, instruction)(*operands, flags=("contract",))

    for pair in pairs:
        lower_builtin(function, *pair)(build)


_define_operator(operator.add, "fadd")
_define_operator(operator.sub, "fsub")
_define_operator(operator.mul, "fmul")
_define_operator(operator.truediv, "fdiv")


@intrinsic
def clamp(typing_context, x, limit):
    """Bring x into [-limit, limit]; what is not a number stays so."""

    def build(context, builder, signature, values):
        x, limit = values
        high, low = _number(builder, limit), _number(builder, builder.fneg(limit))
        x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
        return builder.select(builder.fcmp_ordered("<", x, low), low, x)

    return UNITS(UNITS, types.float64), build


@intrinsic
def power_of_two(typing_context, shifted):
    """2^n from n + SHIFT, whose last bits are those of the whole number n."""

    def build(context, builder, signature, values):
        whole = ir.VectorType(ir.IntType(32), LANES)
        exponent = builder.add(builder.bitcast(values[0], whole), whole([127] * LANES))
        return builder.bitcast(builder.shl(exponent, whole([23] * LANES)), UNITS.llvm)

    return UNITS(UNITS), build


@intrinsic
def first_lanes(typing_context, count):
    """Mask so many lanes: all of them, or the units that are left."""

    def build(context, builder, signature, values):
        numbers = ir.VectorType(ir.IntType(32), LANES)(list(range(LANES)))
        count = builder.trunc(values[0], ir.IntType(32))
        return builder.icmp_signed("<", numbers, _splat(builder, count, LANES))

    return MASK(types.intp), build


@intrinsic
def load(typing_context, array, index, mask):
    """Read a vector that begins at an element; lanes outside of the mask are zero."""

    def build(context, builder, signature, values):
        array, index, mask = values
        index = cgutils.unpack_tuple(builder, index)
        pointer = _pointer(context, builder, signature.args[0], array, index)
        pointer = builder.bitcast(pointer, UNITS.llvm.as_pointer())
        arguments = [pointer, ir.IntType(32)(4), mask, UNITS.llvm(None)]
        kind = ir.FunctionType(UNITS.llvm, [argument.type for argument in arguments])
        name = f"llvm.masked.load.v{LANES}f32.p0"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    return UNITS(array, types.UniTuple(types.intp, len(index)), mask), build


@intrinsic
def store(typing_context, array, index, mask, vector):
    """Write the lanes of the mask to where an element begins."""

    def build(context, builder, signature, values):
        array, index, mask, vector = values
        index = cgutils.unpack_tuple(builder, index)
        pointer = _pointer(context, builder, signature.args[0], array, index)
        pointer = builder.bitcast(pointer, UNITS.llvm.as_pointer())
        arguments = [vector, pointer, ir.IntType(32)(4), mask]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        name = f"llvm.masked.store.v{LANES}f32.p0"
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
        return context.get_dummy_value()

    return types.void(array, types.UniTuple(types.intp, len(index)), mask, vector), build


# -- the product of a block of rows with a panel of weights ----------------------------------------


@intrinsic
def no_sum(typing_context):
    """Begin the sums of a row."""

    def build(context, builder, signature, values):
        return PANEL.llvm(None)

    return PANEL(), build


@intrinsic
def panel_row(typing_context, panels, p, k):
    """Read row k of panel p."""

    def build(context, builder, signature, values):
        panels, p, k = values
        pointer = _pointer(context, builder, signature.args[0], panels, (p, k, k.type(0)))
        return builder.load(builder.bitcast(pointer, PANEL.llvm.as_pointer()), align=4)

    return PANEL(panels, types.intp, types.intp), build


@intrinsic
def add_multiples(typing_context, sums, a, n, k, w):
    """sums[r] + a[n + r, k] w, for each row r of the block."""

    def build(context, builder, signature, values):
        sums, a, n, k, w = values
        for r in range(len(signature.args[0])):
            index = (builder.add(n, n.type(r)), k)
            factor = builder.load(_pointer(context, builder, signature.args[1], a, index))
            multiple = builder.fmul(_splat(builder, factor, WIDTH), w, flags=("contract",))
            total = builder.fadd(builder.extract_value(sums, r), multiple, flags=("contract",))
            sums = builder.insert_value(sums, total, r)
        return sums

    return sums(sums, a, types.intp, types.intp, w), build


@intrinsic
def store_sums(typing_context, out, column, sums):
    """Write the sums of a block into the rows of out."""

    def build(context, builder, signature, values):
        out, column, sums = values
        for r in range(len(signature.args[2])):
            pointer = _pointer(context, builder, signature.args[0], out, (column.type(r), column))
            pointer = builder.bitcast(pointer, PANEL.llvm.as_pointer())
            builder.store(builder.extract_value(sums, r), pointer, align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, sums), build


@njit
def _sums(sums, a, n, panels, p):
    for k in range(panels.shape[1]):
        sums = add_multiples(sums, a, n, k, panel_row(panels, p, k))
    return sums


@njit
def multiply(a, first, last, panels, p, out, column):
    """Multiply rows first, ..., last - 1 of a, at most ROWS, with panel p into out."""
    rows, o = last - first, no_sum()
    if rows == 6:
        store_sums(out, column, _sums((o, o, o, o, o, o), a, first, panels, p))
    elif rows == 5:
        store_sums(out, column, _sums((o, o, o, o, o), a, first, panels, p))
    elif rows == 4:
        store_sums(out, column, _sums((o, o, o, o), a, first, panels, p))
    elif rows == 3:
        store_sums(out, column, _sums((o, o, o), a, first, panels, p))
    elif rows == 2:
        store_sums(out, column, _sums((o, o), a, first, panels, p))
    else:
        store_sums(out, column, _sums((o,), a, first, panels, p))


@njit
def blocks(first, last):
    """Part rows into the fewest blocks of at most ROWS, as equal as they can be."""
    number = (last - first + ROWS - 1) // ROWS
    bounds = first + (last - first) * np.arange(number + 1) // number
    return [(bounds[k], bounds[k + 1]) for k in range(number)]


# -- the nonlinearities ----------------------------------------------------------------------------

SHIFT = 1.5 * 2.0**23
"""A float32 of this size has no bits behind the point: adding it rounds."""


@njit
def expm1(x):
    """Compute e^x - 1 = 2^n (e^r - 1) + 2^n - 1, n whole, |r| <= ln(2) / 2; Cephes' polynomial."""
    x = clamp(x, 87.0)
    shifted = x * 1.44269504088896341 + SHIFT
    n = shifted - SHIFT
    r = x - n * 0.693359375 + n * 2.12194440e-4  # ln 2 in two parts: the first has few bits
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    scale = power_of_two(shifted)
    return (p * (r * r) + r) * scale + (scale - 1.0)


@njit
def sigmoid(x):
    return 1.0 / (2.0 + expm1(0.0 - x))


@njit
def tanh(x):
    t = expm1(x * 2.0)
    return t / (t + 2.0)


# -- the kernels -----------------------------------------------------------------------------------

_MATRIX, _STEPS, _GATES = "float32[:, ::1]", "float32[:, :, ::1]", "float32[:, :, :, ::1]"


def _kernel(*arguments):
    """Compile a function that other threads may run beside, and keep it on disk."""
    signature = f"void({', '.join(arguments)})"

    def compiled(function):
        try:
            return njit(signature, nogil=True, cache=True, error_model="numpy")(function)
        except RuntimeError:  # no folder for the cache can be written to
            return njit(signature, nogil=True, error_model="numpy")(function)

    return compiled


@_kernel("float32[:, :, :]", _STEPS)
def pack(W, panels):
    """Lay weights into panels: the columns of LANES units of all gates, then of the next units.

    ``W`` has shape (rows, gates, units) and any strides; ``panels`` has shape (panels, rows,
    WIDTH), with zeros for the units that are missing.
    """
    rows, gates, H = W.shape
    for p in range(panels.shape[0]):
        for column in range(0, WIDTH, LANES):
            group = (p * WIDTH + column) // LANES
            gate, j = group % gates, group // gates * LANES
            for k in range(rows):
                for lane in range(LANES):
                    there = j + lane < H
                    panels[p, k, column + lane] = W[k, gate, j + lane] if there else 0.0


@_kernel("intp", "intp", _MATRIX, _STEPS, _GATES, _STEPS, _STEPS, _STEPS)
def lstm_steps_forward(first, last, h0, panels, gates, c, tanh_c, h):
    """Run rows first, ..., last - 1 through all steps of an LSTM, equation (S1).

    ``gates`` begins as x Wx + b. It, ``c[1:]``, ``tanh_c`` and ``h`` are filled. ``panels`` are
    those of Wh.
    """
    T, _, _, H = gates.shape
    parts = GATES * LANES // WIDTH
    hWh = np.empty((ROWS, GATES * LANES), np.float32)
    rows, every = blocks(first, last), first_lanes(LANES)
    for t in range(T):
        prev_h = h[t - 1] if t > 0 else h0
        for j in range(0, H, LANES):
            units = first_lanes(H - j)
            for start, end in rows:
                for part in range(parts):
                    p = j // LANES * parts + part
                    multiply(prev_h, start, end, panels, p, hWh, part * WIDTH)
                for n in range(start, end):
                    zf = load(gates, (t, n, 0, j), units) + load(hWh, (n - start, 0), every)
                    zi = load(gates, (t, n, 1, j), units) + load(hWh, (n - start, LANES), every)
                    zc = load(gates, (t, n, 2, j), units) + load(hWh, (n - start, 2 * LANES), every)
                    zo = load(gates, (t, n, 3, j), units) + load(hWh, (n - start, 3 * LANES), every)
                    f, i, c_tilde, o = sigmoid(zf), sigmoid(zi), tanh(zc), sigmoid(zo)
                    next_c = f * load(c, (t, n, j), units) + i * c_tilde  # (S1)
                    tanh_next_c = tanh(next_c)
                    store(gates, (t, n, 0, j), units, f)
                    store(gates, (t, n, 1, j), units, i)
                    store(gates, (t, n, 2, j), units, c_tilde)
                    store(gates, (t, n, 3, j), units, o)
                    store(c, (t + 1, n, j), units, next_c)
                    store(tanh_c, (t, n, j), units, tanh_next_c)
                    store(h, (t, n, j), units, o * tanh_next_c)  # (S1)


@_kernel("intp", "intp", _STEPS, _STEPS, _GATES, _STEPS, _STEPS, _STEPS, _MATRIX, _MATRIX)
def lstm_steps_backward(first, last, dh, panels, gates, c, tanh_c, dz, dh0, dc):
    """Run rows first, ..., last - 1 back through all steps of an LSTM, equations (32)-(35), (49).

    ``dc`` begins as the gradient of the last cell state and ends as that of the first one. ``dz``
    and ``dh0`` are filled. ``panels`` are those of the transposed Wh.
    """
    T, _, _, H = gates.shape
    dzWhT = np.zeros((ROWS, WIDTH), np.float32)  # stays zero at the last step  (34)
    rows, every = blocks(first, last), first_lanes(LANES)
    for t in range(T - 1, -1, -1):
        for p in range(panels.shape[0]):
            for start, end in rows:
                if t < T - 1:
                    multiply(dz[t + 1], start, end, panels, p, dzWhT, 0)
                for n in range(start, end):
                    for j in range(p * WIDTH, min(H, (p + 1) * WIDTH), LANES):
                        units = first_lanes(H - j)
                        later = load(dzWhT, (n - start, j - p * WIDTH), every)
                        dnext_h = load(dh, (t, n, j), units) + later  # (32)
                        f, i = load(gates, (t, n, 0, j), units), load(gates, (t, n, 1, j), units)
                        c_tilde = load(gates, (t, n, 2, j), units)
                        o = load(gates, (t, n, 3, j), units)
                        prev_c, tanh_next_c = (
                            load(c, (t, n, j), units),
                            load(tanh_c, (t, n, j), units),
                        )
                        dnext_c = load(dc, (n, j), units)  # (33), (35)
                        dnext_c = dnext_c + dnext_h * o * (1.0 - tanh_next_c * tanh_next_c)
                        df = dnext_c * prev_c  # (13)
                        di = dnext_c * c_tilde  # (14)
                        dc_tilde = dnext_c * i  # (15)
                        do = dnext_h * tanh_next_c  # (16)
                        store(dz, (t, n, j), units, df * f * (1.0 - f))
                        store(dz, (t, n, H + j), units, di * i * (1.0 - i))
                        store(dz, (t, n, 2 * H + j), units, dc_tilde * (1.0 - c_tilde * c_tilde))
                        store(dz, (t, n, 3 * H + j), units, do * o * (1.0 - o))
                        store(dc, (n, j), units, dnext_c * f)  # (29)
    for p in range(panels.shape[0]):
        for start, end in rows:
            multiply(dz[0], start, end, panels, p, dzWhT, 0)
            for n in range(start, end):
                for j in range(p * WIDTH, min(H, (p + 1) * WIDTH), LANES):
                    dprev_h = load(dzWhT, (n - start, j - p * WIDTH), every)
                    store(dh0, (n, j), first_lanes(H - j), dprev_h)  # (49)


# -- the GRU ---------------------------------------------------------------------------------------


@_kernel("intp", "intp", _MATRIX, _STEPS, _GATES, _STEPS)
def gru_steps_forward(first, last, h0, panels, gates, h):
    """Run rows first, ..., last - 1 through all steps of a GRU, equation (U1).

    ``gates`` holds q, r, z and n. It begins as the bias of q and as x Wx + b, and is filled, as is
    ``h``. ``panels`` are those of Wh, with the candidate first.
    """
    T, _, _, H = gates.shape
    hWh = np.empty((ROWS, 3 * WIDTH), np.float32)
    rows, every = blocks(first, last), first_lanes(LANES)
    for t in range(T):
        prev_h = h[t - 1] if t > 0 else h0
        for side in range(0, H, WIDTH):  # so many units have their columns in three panels
            for start, end in rows:
                for part in range(min(3, panels.shape[0] - side // WIDTH * 3)):
                    p = side // WIDTH * 3 + part
                    multiply(prev_h, start, end, panels, p, hWh, part * WIDTH)
                for row in range(start, end):
                    for j in range(side, min(H, side + WIDTH), LANES):
                        units, column, r_ = first_lanes(H - j), (j - side) * 3, row - start
                        hn = load(hWh, (r_, column), every)
                        hr = load(hWh, (r_, column + LANES), every)
                        hz = load(hWh, (r_, column + 2 * LANES), every)
                        q = load(gates, (t, row, 0, j), units) + hn
                        r = sigmoid(load(gates, (t, row, 1, j), units) + hr)
                        z = sigmoid(load(gates, (t, row, 2, j), units) + hz)
                        n = tanh(load(gates, (t, row, 3, j), units) + r * q)
                        next_h = (1.0 - z) * n + z * load(prev_h, (row, j), units)  # (U1)
                        store(gates, (t, row, 0, j), units, q)
                        store(gates, (t, row, 1, j), units, r)
                        store(gates, (t, row, 2, j), units, z)
                        store(gates, (t, row, 3, j), units, n)
                        store(h, (t, row, j), units, next_h)


@_kernel("intp", "intp", _STEPS, _MATRIX, _STEPS, _GATES, _STEPS, _STEPS, _MATRIX)
def gru_steps_backward(first, last, dh, h0, panels, gates, h, dz, dprev_h):
    """Run rows first, ..., last - 1 back through all steps of a GRU, equation (74).

    ``dprev_h`` begins at zero and ends as the gradient of the first state. ``dz`` is filled with
    the gradients of q and of what r, z and n are formed from. ``panels`` are those of the
    transposed Wh, whose candidate comes first: of ``dz``, they meet q, r and z.
    """
    T, _, _, H = gates.shape
    dzWhT = np.zeros((ROWS, WIDTH), np.float32)  # stays zero at the last step
    rows, every = blocks(first, last), first_lanes(LANES)
    for t in range(T - 1, -2, -1):
        prev_h = h[t - 1] if t > 0 else h0
        for p in range(panels.shape[0]):
            for start, end in rows:
                if t < T - 1:
                    multiply(dz[t + 1], start, end, panels, p, dzWhT, 0)
                for row in range(start, end):
                    for j in range(p * WIDTH, min(H, (p + 1) * WIDTH), LANES):
                        units = first_lanes(H - j)
                        later = load(dzWhT, (row - start, j - p * WIDTH), every)
                        later = load(dprev_h, (row, j), units) + later  # (73)
                        if t < 0:
                            store(dprev_h, (row, j), units, later)
                            continue
                        q, r = (
                            load(gates, (t, row, 0, j), units),
                            load(gates, (t, row, 1, j), units),
                        )
                        z, n = (
                            load(gates, (t, row, 2, j), units),
                            load(gates, (t, row, 3, j), units),
                        )
                        dnext_h = load(dh, (t, row, j), units) + later  # (74)
                        dzn = dnext_h * (1.0 - z) * (1.0 - n * n)  # (65)
                        kept = load(prev_h, (row, j), units) - n
                        dzz = dnext_h * kept * z * (1.0 - z)  # (66)
                        dq = dzn * r  # (67)
                        dzr = dzn * q * r * (1.0 - r)  # (68)
                        store(dz, (t, row, j), units, dq)
                        store(dz, (t, row, H + j), units, dzr)
                        store(dz, (t, row, 2 * H + j), units, dzz)
                        store(dz, (t, row, 3 * H + j), units, dzn)
                        store(dprev_h, (row, j), units, dnext_h * z)  # (73)
