r"""The ledger: every numbered equation, and the check that proves or refutes it.

Each of the source's equations (1)-(49) is an `Equation` in `LEDGER`. After them stand
those that this report adds: of attention, (50)-(58), of dropout, (59), of the Jacobians of a step,
(60)-(64), and of the GRU, the RNN with ReLU and the LSTM with a projection, (65)-(86). Those with
letters follow by page: the steps between the numbered ones, (R2)-(R6),
(S3)-(S7) and (A5)-(A8), the layers of words and sentences, (T2)-(T8) and (P2)-(P8), word vectors,
(G5)-(G9), and style transfer, (N1)-(N4). A check draws a random problem in
float64 and computes one quantity three times, independently. Of a recurrence:

- from the definition: the forward recurrence is run with a variable moved by
  :math:`10^{-30} i`, and the derivative of the loss is read off its imaginary part;
- from the equation: the formula, in the source's convention of columns, where
  :math:`x_t \in R^d`, :math:`h_t \in R^m` and matrices act from the left;
- from the code: the function in `rnnreport.layers`, with rows, a batch of one and packed gates.

The loss reads every hidden and every cell state, so that no derivative is zero by accident.
:math:`\partial L / \partial h_t` on the right of an equation is what the loss reads of
:math:`h_t` itself. :math:`[\partial L / \partial h_t]_\text{new}` is the derivative of all that
comes from :math:`h_t` on, the recurrence restarted there with :math:`c_t` held fixed; for
:math:`c_t` the same, with :math:`h_t` held fixed.

The source writes the chain rule from left to right,
:math:`[\partial L / \partial h_t]_\text{new}\, \partial h_t / \partial h_{t-1}`, as is right
for rows; its results are columns, for which the transposed Jacobian stands in front.

A Jacobian is measured column by column, without a loss. A ReLU is measured where its argument is
not near 0, and its sign is drawn in the exact check. What dropout keeps is chance: its mask is
read off the layer, and the rest of the check takes it as given.

The losses of style transfer and the layers of words are defined as sums over elements: there the
definition, the formula and the code share no matrix product. Words, labels, masks and counts are
data, and no unknowns of the exact check.

Where a line of the source is sloppy, wrong or bound to an assumption, the entry holds that line
too, with its own residual and a remark. Every entry has deliberate mistakes that its check must
find.
"""

from rnnreport.equations._entry import BAR, Equation, Residual, Sizes
from rnnreport.equations._exact import Exact, check_exactly
from rnnreport.equations._ledger import (
    LEDGER,
    OWN_NUMBERS,
    SOURCE_NUMBERS,
    check,
    equation,
    mistakes,
)
from rnnreport.equations._mistakes import CATALOGUE, Mistake, Planted, planted
from rnnreport.equations._pairs import PAIRS, Pair, PairRow, PairSizes, PairTable, pairs
from rnnreport.equations._style import MapSizes
from rnnreport.equations._table import (
    Corrections,
    LedgerRow,
    LedgerTable,
    bound_text,
    corrections,
    number_text,
    table,
)
from rnnreport.equations._temporal import WordSizes

__all__ = [
    "BAR",
    "CATALOGUE",
    "LEDGER",
    "OWN_NUMBERS",
    "PAIRS",
    "SOURCE_NUMBERS",
    "Corrections",
    "Equation",
    "Exact",
    "LedgerRow",
    "LedgerTable",
    "MapSizes",
    "Mistake",
    "Pair",
    "PairRow",
    "PairSizes",
    "PairTable",
    "Planted",
    "Residual",
    "Sizes",
    "WordSizes",
    "bound_text",
    "check",
    "check_exactly",
    "corrections",
    "equation",
    "mistakes",
    "number_text",
    "pairs",
    "planted",
    "table",
]
