/* The network to take apart, of the RNN page. rnnreport/report/live_rnn.py is its model: what is
   computed and written here is what is computed and written there, in float64. The HTML is there
   already; this fills numbers into the places that `data-value` names. */
(() => {
  "use strict";
  const root = document.getElementById("live-rnn");
  if (!root || root.dataset.ready) return;

  const T = 3;
  const LONG = 30;
  const UNITS = [0, 1];
  const TARGETS = [[0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]];
  const EPSILON = 1e-5;
  const AGREES = 1e-7;
  const DECADES = 10;
  const GRADIENTS = {
    W_x: ["Wx1", "Wx2"],
    W_h: ["Wh11", "Wh12", "Wh21", "Wh22"],
    b: ["b1", "b2"],
    x_t: ["x1", "x2", "x3"],
    h_0: ["h1", "h2"],
  };

  // -- The mistakes: each changes what the backward pass below takes for granted ------------------

  const MISTAKES = {
    "slope-dropped": { slope: () => 1 },
    "square-missing": { slope: (h) => 1 - h },
    "slope-twice": { slope: (h) => 1 - Math.tanh(h) ** 2 },
    "not-transposed": { transposed: false },
    "slope-missing-on-way-back": { slopeOnWayBack: false },
    "next-state": { before: (h, t) => h[t] },
    "first-state-zero": { before: (h, t) => (t === 1 ? [0, 0] : h[t - 1]) },
    "not-carried": { carries: false },
    "own-gradient-unused": { own: false },
    "loop-forward": { forward: true },
    "one-step-alone": { counts: (t) => t === T },
    "input-from-own-loss": { ownInput: true },
    "first-gradient-early": { early: true },
  };
  const RIGHT = {
    slope: (h) => 1 - h * h,
    transposed: true,
    slopeOnWayBack: true,
    before: (h, t) => h[t - 1],
    carries: true,
    own: true,
    forward: false,
    counts: () => true,
    ownInput: false,
    early: false,
  };

  // -- Forward and backward ----------------------------------------------------------------------

  const network = (s) => ({
    Wx: [s.Wx1, s.Wx2],
    Wh: [[s.Wh11, s.Wh12], [s.Wh21, s.Wh22]],
    b: [s.b1, s.b2],
    h0: [s.h1, s.h2],
    x: [s.x1, s.x2, s.x3],
  });

  /* Equation (R1) at every step; x[t - 1] is the input of step t. */
  const forward = ({ Wx, Wh, b, h0 }, x) => {
    const z = [null];
    const h = [h0];
    for (let t = 1; t <= x.length; t++) {
      const [h1, h2] = h[t - 1];
      z.push(UNITS.map((k) => Wx[k] * x[t - 1] + Wh[k][0] * h1 + Wh[k][1] * h2 + b[k]));
      h.push(z[t].map(Math.tanh));
    }
    return { z, h };
  };

  const through = (W, v, transposed) =>
    UNITS.map((k) => (transposed ? W[0][k] * v[0] + W[1][k] * v[1] : W[k][0] * v[0] + W[k][1] * v[1]));

  /* Equations (1) to (12). `direct` is what the loss reads of each state. */
  const backward = ({ Wx, Wh }, x, h, direct, mistake) => {
    const m = { ...RIGHT, ...mistake };
    const steps = x.length;
    const whole = [];
    const delta = [];
    const dx = [];
    const share = [];
    let sent = [0, 0]; // what the step that came before in the loop sends back
    const order = Array.from({ length: steps }, (_, k) => (m.forward ? k + 1 : steps - k));
    for (const t of order) {
      whole[t] = UNITS.map((k) => (m.own ? direct[t][k] : 0) + (m.carries ? sent[k] : 0)); // (6), (7)
      const slopes = h[t].map(m.slope);
      delta[t] = UNITS.map((k) => whole[t][k] * slopes[k]); // (R3)
      const back = m.slopeOnWayBack ? delta[t] : whole[t];
      const read = m.ownInput ? UNITS.map((k) => direct[t][k] * slopes[k]) : back;
      const before = m.before(h, t);
      share[t] = {
        Wx1: delta[t][0] * x[t - 1], // (1)
        Wx2: delta[t][1] * x[t - 1],
        Wh11: delta[t][0] * before[0], // (2)
        Wh12: delta[t][0] * before[1],
        Wh21: delta[t][1] * before[0],
        Wh22: delta[t][1] * before[1],
        b1: delta[t][0], // (3)
        b2: delta[t][1],
      };
      dx[t] = Wx[0] * read[0] + Wx[1] * read[1]; // (4), (11)
      sent = through(Wh, back, m.transposed); // (5)
    }
    whole[0] = m.early ? whole[order.at(-1)] : sent; // (12)
    const sum = {}; // (8), (9), (10)
    for (const name of Object.keys(share[1])) {
      sum[name] = 0;
      for (let t = 1; t <= steps; t++) if (m.counts(t)) sum[name] += share[t][name];
    }
    return { whole, delta, dx, share, sum };
  };

  const weighOf = (reads, t) => (reads === "last" && t < T ? 0 : 1);

  const losses = (h, reads) =>
    TARGETS.map((y, k) => {
      const t = k + 1;
      return (weighOf(reads, t) * ((h[t][0] - y[0]) ** 2 + (h[t][1] - y[1]) ** 2)) / 2;
    });

  const total = (settings, reads) => {
    const net = network(settings);
    return losses(forward(net, net.x).h, reads).reduce((sum, each) => sum + each, 0);
  };

  const offBy = (byHand, measured) => {
    const size = Math.max(...byHand.map(Math.abs), ...measured.map(Math.abs));
    const apart = Math.max(...byHand.map((a, k) => Math.abs(a - measured[k])));
    return size > AGREES ? apart / size : 0;
  };

  const norm = ([a, b]) => Math.sqrt(a * a + b * b);

  /* Norms of the gradient over many steps, from the last state's, with slopes and without. */
  const overLong = (net) => {
    const x = Array.from({ length: LONG }, (_, k) => net.x[k % T]);
    const { h } = forward(net, x);
    const direct = h.map((_, t) => (t === LONG ? [1, 1] : [0, 0]));
    const { whole } = backward(net, x, h, direct, {});
    const bare = [];
    bare[LONG] = [1, 1];
    for (let t = LONG; t > 0; t--) bare[t - 1] = through(net.Wh, bare[t], true);
    const relative = (v) => norm(v) / Math.SQRT2;
    return { long: whole.map(relative), bare: bare.map(relative) };
  };

  /* Every number of the figure, under the names of live_rnn.values. */
  const compute = (settings, reads = "all", mistake = "") => {
    const net = network(settings);
    const { z, h } = forward(net, net.x);
    const direct = h.map((state, t) =>
      t ? UNITS.map((k) => weighOf(reads, t) * (state[k] - TARGETS[t - 1][k])) : [0, 0],
    );
    const result = backward(net, net.x, h, direct, MISTAKES[mistake]);
    const found = {};
    const vector = (name, value) => UNITS.forEach((k) => (found[`${name}.${k + 1}`] = value[k]));
    losses(h, reads).forEach((each, k) => (found[`loss.${k + 1}`] = each));
    found.loss = found["loss.1"] + found["loss.2"] + found["loss.3"];
    vector("h.0", h[0]);
    vector("whole.0", result.whole[0]);
    for (let t = 1; t <= T; t++) {
      vector(`z.${t}`, z[t]);
      vector(`h.${t}`, h[t]);
      vector(`direct.${t}`, direct[t]);
      vector(`whole.${t}`, result.whole[t]);
      vector(`delta.${t}`, result.delta[t]);
      for (const [name, value] of Object.entries(result.share[t])) found[`share.${name}.${t}`] = value;
      found[`sum.x${t}`] = result.dx[t];
    }
    for (const [name, value] of Object.entries(result.sum)) found[`sum.${name}`] = value;
    UNITS.forEach((k) => (found[`sum.h${k + 1}`] = result.whole[0][k]));
    for (const [name, value] of Object.entries(settings)) {
      const moved = (by) => total({ ...settings, [name]: value + by }, reads);
      found[`numerical.${name}`] = (moved(EPSILON) - moved(-EPSILON)) / (2 * EPSILON);
    }
    for (const [name, elements] of Object.entries(GRADIENTS)) {
      const all = (kind) => elements.map((element) => found[`${kind}.${element}`]);
      found[`off.${name}`] = offBy(all("sum"), all("numerical"));
    }
    for (const [name, norms] of Object.entries(overLong(net))) {
      norms.forEach((value, t) => (found[`${name}.${t}`] = value));
    }
    return found;
  };

  // -- Text --------------------------------------------------------------------------------------

  const signed = (number) => {
    const text = Math.abs(number).toFixed(3);
    return number < 0 && Number(text) ? `−${text}` : text;
  };

  const verdict = (off) => {
    if (off <= AGREES) return "✓ agrees";
    const percent = 100 * off;
    if (percent < 0.1) return "✗ off by less than 0.1 %";
    return `✗ off by ${percent.toFixed(percent < 10 ? 1 : 0)} %`;
  };

  const ANSWERS = [
    "All five gradients agree with the numerical ones.",
    "One of five gradients is wrong.",
    "Two of five gradients are wrong.",
    "Three of five gradients are wrong.",
    "Four of five gradients are wrong.",
    "All five gradients are wrong.",
  ];

  const superscript = (number) =>
    String(number).replace(/[-\d]/g, (sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] ?? "⁻");

  const grows = (factor) => {
    const exponent = Math.floor(Math.log10(factor) + 0.5);
    if (factor === 0) return `Over ${LONG} steps the gradient vanishes altogether.`;
    if (exponent === 0) return `Over ${LONG} steps the gradient keeps its size, roughly.`;
    const change = exponent < 0 ? "shrinks to" : "grows to";
    return `Over ${LONG} steps the gradient ${change} about 10${superscript(exponent)} times its size.`;
  };

  const write = (found) => {
    const written = {};
    for (const [name, number] of Object.entries(found)) {
      if (!/^(off|long|bare)\./.test(name)) written[name] = signed(number);
    }
    const offs = Object.keys(GRADIENTS).map((name) => found[`off.${name}`]);
    for (const name of Object.keys(GRADIENTS)) written[`off.${name}`] = verdict(found[`off.${name}`]);
    written.answer = ANSWERS[offs.filter((off) => off > AGREES).length];
    written.long = grows(found["long.0"]);
    return written;
  };

  // -- The chart -----------------------------------------------------------------------------------

  const [LEFT, RIGHT_EDGE, TOP, BOTTOM] = [72, 664, 16, 208];

  const height = (decade) =>
    TOP + ((BOTTOM - TOP) * (DECADES - Math.min(Math.max(decade, -DECADES), DECADES))) / (2 * DECADES);

  const way = (found, name) => {
    const points = Array.from({ length: LONG + 1 }, (_, t) => {
      const x = LEFT + ((RIGHT_EDGE - LEFT) * t) / LONG;
      return `${x.toFixed(1)} ${height(Math.log10(found[`${name}.${t}`])).toFixed(1)}`;
    });
    return `M${points.join("L")}`;
  };

  // -- The page ------------------------------------------------------------------------------------

  const CASES = JSON.parse(root.dataset.cases);
  const sliders = [...root.querySelectorAll("input[type=range]")];
  const outputs = [...root.querySelectorAll("output")];
  const radios = [...root.querySelectorAll("input[type=radio]")];
  const choice = root.querySelector("select");
  const abouts = [...root.querySelectorAll(".live-about")];
  const places = [...root.querySelectorAll("[data-value]")];
  const svg = root.querySelector(".live-chart svg");
  const status = root.querySelector(".live-status");
  const settings = Object.fromEntries(sliders.map(({ dataset }) => [dataset.setting, 0]));
  let timer = 0;

  const show = () => {
    const reads = radios.find((radio) => radio.checked).value;
    const found = compute(settings, reads, choice.value);
    const right = choice.value ? compute(settings, reads) : found;
    const written = write(found);
    for (const place of places) {
      const name = place.dataset.value;
      place.textContent = written[name];
      const spoilt = name.startsWith("off.")
        ? found[name] > AGREES
        : Math.abs(found[name] - right[name]) > 1e-9;
      place.classList.toggle("spoilt", spoilt);
    }
    for (const output of outputs) {
      output.textContent = settings[output.dataset.of].toFixed(2).replace("-", "−");
    }
    for (const about of abouts) about.hidden = about.dataset.mistake !== choice.value;
    svg.querySelector(".live-long").setAttribute("d", way(found, "long"));
    svg.querySelector(".live-bare").setAttribute("d", way(found, "bare"));
    svg.setAttribute("aria-label", `Norm of the gradient at each of ${LONG} steps. ${written.long}`);
    return written;
  };

  /* Say in words what has changed, once the reader has stopped changing it. */
  const announce = ({ loss, answer: said, long }) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      status.textContent = `Loss ${loss}. ${said} ${long}`;
    }, 700);
  };

  const set = (changes) => {
    Object.assign(settings, changes);
    for (const slider of sliders) slider.value = settings[slider.dataset.setting];
    announce(show());
  };

  for (const slider of sliders) {
    slider.disabled = false;
    slider.addEventListener("input", () => set({ [slider.dataset.setting]: Number(slider.value) }));
  }
  for (const control of [...radios, choice]) {
    control.disabled = false;
    control.addEventListener("change", () => announce(show()));
  }
  for (const button of root.querySelectorAll("button")) {
    button.disabled = false;
    button.addEventListener("click", () => set(CASES[button.textContent]));
  }
  // A browser may remember what was chosen before the page was loaded again.
  for (const radio of radios) radio.checked = radio.defaultChecked;
  choice.value = "";
  set(Object.fromEntries(sliders.map((slider) => [slider.dataset.setting, Number(slider.defaultValue)])));
  clearTimeout(timer);
  root.liveRNN = { compute, write }; // for the test that compares them with Python's
  root.dataset.ready = "true";
})();
