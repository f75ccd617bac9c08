"""The templates of `implementations`: what the files of each family have in common."""

SIGMOID = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))

"""
SOFTMAX = """
def softmax(x):
    e = np.exp(x - np.max(x))
    return e / e.sum(axis=0)

"""
FUNCTIONS = """
import numpy as np
<sigmoid>

def <cell>_step_forward(x, <prev>, Wx, Wh, b):
    <forward>
    cache = <pack>
    return <next>, cache


def <cell>_step_backward(<dnext>, cache):
    <unpack>
    <backward>
    return <returned>


"""
STEPS = """
def <cell>_forward(x, h0, Wx, Wh, b<c0_argument>):
    <sizes_x>
    <units>
    h = <zeros_h>
    <c_buffer>
    cache = []
    <first_h>
    <first_c>
    for t in range(T):
        <next>, step = <cell>_step_forward(<x_t>, <prev>, Wx, Wh, b)
        <h_t> = next_h
        <keep_c>
        <prev> = <next>
        cache.append(step)
    return h, cache


def <cell>_backward(dh, cache):
    <sizes_dh>
    <weights>
    <inputs>
    <scale>
    dx = <zeros_x>
    dWx = np.zeros_like(Wx)
    dWh = np.zeros_like(Wh)
    db = <zeros_b>
    <first_dh>
    <first_dc>
    <loop>
    <late>
    <late_c>
    return <returned_whole>
"""
LOOP = """
for t in <times>:
    <early>
    <call>
    <input_line>
    <add_x>
    <add_h>
    <add_b>
"""
TRUNCATED = """
dh0 = np.zeros_like(dprev_h)
for last in range(T):
    dprev_h = <dh_last>
    <first_dc>
    for t in range(last, max(-1, last - 2), -1):
        <call>
        <dx_t> += dx_t
        <add_x>
        <add_h>
        <add_b>
    if t == 0:
        dh0 += dprev_h
"""
INLINED = """
def <cell>_forward(xs, h0, Wx, Wh, b<c0_argument>):
    <sizes_x>
    <units>
    h = <zeros_h>
    <c_all>
    <c_first>
    <gates>
    for t in range(T):
        <x_line>
        <h_line>
        <c_line>
        <forward>
        <h_t> = next_h
        <c_t>
        <keep_gates>
    cache = <pack_whole>
    return h, cache


def <cell>_backward(dh, cache):
    <sizes_dh>
    <unpack_whole>
    <inputs>
    <scale>
    dxs = <zeros_x>
    sum_Wx = np.zeros_like(Wx)
    sum_Wh = np.zeros_like(Wh)
    sum_b = <zeros_b>
    <first_dh>
    <first_dc>
    for t in <times>:
        <x_line>
        prev_h = <h_before> if t > 0 else h0
        <next_line>
        <cell_lines>
        <gates_t>
        <early>
        dnext_h = <carry_h>
        <dnext_c_line>
        <backward>
        <input_line>
        <add_x>
        <add_h>
        <add_b>
    <late>
    <late_c>
    return <returned_whole>
"""
HELPERS = """


def word_embedding_forward(x, W):
    return W[x], (x, W)


def word_embedding_backward(dout, cache):
    x, W = cache
    dW = np.zeros_like(W)
    <add_rows>
    return dW


def temporal_affine_forward(x, w, b):
    out = x.reshape(-1, x.shape[-1]).dot(w) + b
    return out.reshape(*x.shape[:2], -1), (x, w, b)


def temporal_affine_backward(dout, cache):
    x, w, b = cache
    rows = dout.reshape(-1, dout.shape[-1])
    dx = rows.dot(w.T).reshape(x.shape)
    dw = x.reshape(-1, x.shape[-1]).T.dot(rows)
    db = np.sum(rows, axis=0)
    return dx, dw, db


def temporal_softmax_loss(x, y, mask):
    <sizes_scores>
    rows, right, counted = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    e = np.exp(rows - rows.max())
    p = e / e.sum(-1)[:, None]
    chosen = p[range(N * T), right]
    loss = -np.sum(counted * np.log(chosen)) / <words>
    dx = p * 1.0
    dx[range(N * T), right] -= 1
    dx = dx * counted[:, None] / <words>
    return loss, dx.reshape(x.shape)
"""
DICTIONARY_RNN = """
import numpy as np
<softmax>

def rnn_cell_forward(xt, a_prev, parameters):
    <parameters>
    a = <a>
    a_next = np.tanh(a)
    yt_pred = softmax(np.dot(Wya, a_next) + by)
    cache = (a_next, a_prev, xt, parameters)
    return a_next, yt_pred, cache


def rnn_cell_backward(da_next, cache):
    (a_next, a_prev, xt, parameters) = cache
    <parameters>
    <again>
    dtanh = <delta_h>
    dxt = <dx>
    da_prev = <dh_back>
    dWax = <dWx>
    dWaa = <dWh>
    dba = <db>
    gradients = <gradients>
    return gradients


"""
DICTIONARY_LSTM = """
import numpy as np
<sigmoid>
<softmax>

def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    <parameters>
    concat = <joined_before>
    ft = sigmoid(np.dot(<W_f>, concat) + <b_f>)
    it = sigmoid(np.dot(<W_i>, concat) + <b_i>)
    cct = np.tanh(np.dot(<W_c>, concat) + <b_c>)
    c_next = ft * c_prev + it * cct
    ot = sigmoid(np.dot(<W_o>, concat) + <b_o>)
    a_next = ot * np.tanh(c_next)
    yt_pred = softmax(np.dot(Wy, a_next) + by)
    cache = (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)
    return a_next, c_next, yt_pred, cache


def lstm_cell_backward(da_next, dc_next, cache):
    (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters) = cache
    <parameters>
    n_x, m = xt.shape
    n_a, m = a_next.shape
    dot = <delta_o>
    dcct = <delta_c>
    dit = <delta_i>
    dft = <delta_f>
    concat = <joined>
    <weight_gradients>
    da_prev = <dh_back>
    dc_prev = <dc_back>
    dxt = <dx>
    gradients = <gradients>
    return gradients


"""
DICTIONARY_SEQUENCE = """
def <cell>_forward(x, a0, parameters):
    caches = []
    n_x, m, T_x = x.shape
    n_a = a0.shape[0]
    n_y = parameters["by"].shape[0]
    a = np.zeros((n_a, m, T_x))
    <c_line>
    y = np.zeros((n_y, m, T_x))
    <first_a>
    <first_c>
    for t in range(T_x):
        <states>, yt, cache = <cell>_cell_forward(x[:, :, t], <states>, parameters)
        a[:, :, t] = a_next
        <c_t>
        y[:, :, t] = yt
        caches.append(cache)
    return <returned_forward>


def <cell>_backward(da, caches):
    (caches, x) = caches
    <first_cache> = caches[0]
    n_a, m, T_x = da.shape
    n_x, m = x1.shape
    <scale>
    dx = np.zeros((n_x, m, T_x))
    <zeros>
    da_prevt = np.zeros((n_a, m))
    <first_dc>
    <loop>
    <late>
    return <all_gradients>
"""
DICTIONARY_LOOP = """
for t in <times>:
    <early>
    gradients = <call>
    <input_line>
    da_prevt = gradients["da_prev"]
    <keep_c>
    <adds>
"""
DICTIONARY_TRUNCATED = """
da0 = np.zeros((n_a, m))
for last in range(T_x):
    da_prevt = da[:, :, last]
    <first_dc>
    for t in range(last, max(-1, last - 2), -1):
        gradients = <call>
        dx[:, :, t] += gradients["dxt"]
        da_prevt = gradients["da_prev"]
        <keep_c>
        <adds>
    if t == 0:
        da0 += da_prevt
"""
CLASSES = """
import numpy as np
<sigmoid>

class <Cell>:
    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, <prev>):
        Wx, Wh, b = self.params
        <forward>
        self.cache = (<kept>)
        return <next>

    def backward(self, <dnext>):
        Wx, Wh, b = self.params
        <kept> = self.cache
        <backward>
        self.grads[0][...] = dWx
        self.grads[1][...] = dWh
        <store_b>
        return dx, <dprev>


class Time<Cell>:
    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = None
        <none> = None
        self.dh = None
        self.stateful = stateful

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        H = Wh.shape[0]
        self.layers = []
        hs = np.empty((N, T, H)<dtype>)
        <first_h>
        <first_c>
        for t in range(T):
            layer = <Cell>(*self.params)
            <state> = layer.forward(xs[:, t, :], <state>)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        Wx, Wh, b = self.params
        N, T, H = dhs.shape
        D = Wx.shape[0]
        <scale>
        dxs = np.empty((N, T, D)<dtype>)
        <carried> = <zeros>
        grads = [0, 0, 0]
        for t in <times>:
            layer = self.layers[t]
            <early>
            dx, <carried> = layer.backward(<carry>)
            <adds>
            <input_line>
        for i, grad in enumerate(grads):
            <store>
        <late>
        return dxs

    def set_state(self, <state_names>):
        <state> = <state_names>

    def reset_state(self):
        <none> = None


class TimeEmbedding:
    def __init__(self, W):
        self.params = [W]
        self.grads = [np.zeros_like(W)]
        self.x = None

    def forward(self, xs):
        (W,) = self.params
        self.x = xs
        return W[xs]

    def backward(self, dout):
        x = self.x
        (dW,) = self.grads
        dW[...] = 0
        <add_rows>


class TimeAffine:
    def __init__(self, W, b):
        self.params = [W, b]
        self.grads = [np.zeros_like(W), np.zeros_like(b)]
        self.x = None

    def forward(self, x):
        W, b = self.params
        N, T, D = x.shape
        self.x = x
        return (np.dot(x.reshape(N * T, D), W) + b).reshape(N, T, -1)

    def backward(self, dout):
        W, b = self.params
        N, T, D = self.x.shape
        dout = dout.reshape(N * T, -1)
        self.grads[0][...] = np.dot(self.x.reshape(N * T, D).T, dout)
        self.grads[1][...] = np.sum(dout, axis=0)
        return np.dot(dout, W.T).reshape(N, T, D)


class TimeSoftmaxWithLoss:
    def __init__(self):
        self.params, self.grads = [], []
        self.cache = None
        self.ignore_label = -1

    def forward(self, xs, ts):
        N, T, V = xs.shape
        mask = (ts != self.ignore_label).reshape(N * T)
        e = np.exp(xs - xs.max(axis=-1, keepdims=True))
        ys = (e / e.sum(axis=-1, keepdims=True)).reshape(N * T, V)
        ts = ts.reshape(N * T)
        loss = -np.sum(np.log(ys[np.arange(N * T), ts]) * mask) / <words>
        self.cache = (ts, ys, mask, (N, T, V))
        return loss

    def backward(self, dout=1):
        ts, ys, mask, (N, T, V) = self.cache
        dx = ys * 1.0
        dx[np.arange(N * T), ts] -= 1
        dx *= dout / <words>
        dx *= mask[:, np.newaxis]
        return dx.reshape((N, T, V))
"""
LOSSFUN = """
import numpy as np
<sigmoid>

data = open("input.txt", "r").read()
chars = list(set(data))
data_size, vocab_size = len(data), len(chars)
print("data has %d characters, %d unique." % (data_size, vocab_size))
char_to_ix = {ch: i for i, ch in enumerate(chars)}

hidden_size = 100
seq_length = 25
learning_rate = 1e-1

<parameters>


def lossFun(inputs, targets, <states_before>):
    xs, ps = {}, {}
    <lists>
    hs[-1] = <first_h>
    <first_c>
    <units>
    T = len(inputs)
    loss = 0
    for t in range(T):
        xs[t] = np.zeros((vocab_size, 1))
        xs[t][inputs[t]] = 1
        <forward>
        y = np.dot(Why, hs[t]) + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss += -np.log(ps[t][targets[t], 0])
    <zeros>
    dhnext = np.zeros_like(hs[0])
    <zero_c>
    for t in <times>:
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        <scale>
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = <carry_h>
        <backward>
        <adds>
        dhnext = <dh_back>
        <next_c>
    <clip>
    return loss, <gradients>, <states_after>


n, p = 0, 0
while n < 1000:
    if p + seq_length + 1 >= len(data) or n == 0:
        <reset>
        p = 0
    inputs = [char_to_ix[ch] for ch in data[p:p + seq_length]]
    targets = [char_to_ix[ch] for ch in data[p + 1:p + seq_length + 1]]
    loss, <gradients>, <states_before> = lossFun(inputs, targets, <states_before>)
    if n % 100 == 0:
        print("iter %d, loss: %f" % (n, loss))
    for param, dparam in zip([<all_parameters>], [<gradients>]):
        param -= learning_rate * dparam
    p += seq_length
    n += 1
"""
