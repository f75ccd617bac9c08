/* The live figure of the text page: reads what is typed with the weights that the page carries.
   All arithmetic is in float64. rnnreport/experiments/text/live_figure.py is its model: what is
   computed and drawn here is what is computed and drawn there. */
(() => {
  "use strict";
  const root = document.getElementById("live-lstm");
  if (!root || root.dataset.ready) return;

  // -- Tokens: the rules of rnnreport.data.sentiment.tokenise_review ----------------------------

  // Python's classes, which are not JavaScript's: white space, and letters of all languages.
  const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const WORD = "[\\p{L}\\p{N}_]";
  const EDGE = `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`;
  const rule = (pattern, replacement) => [new RegExp(pattern, "gu"), replacement];

  const TREEBANK = [
    // opening quotes
    rule('^"', "``"),
    rule("(``)", " $1 "),
    rule("([ \\(\\[\\{<])(\"|'{2})", "$1 `` "),
    // punctuation
    rule("([:,])(\\P{Nd})", " $1 $2"),
    rule("([:,])$", " $1 "),
    rule("\\.\\.\\.", " ... "),
    rule("[;@#$%&]", " $& "),
    rule(`([^.])(\\.)([\\]\\)\\}>"']*)[${SPACE}]*$`, "$1 $2$3 "),
    rule("[?!]", " $& "),
    rule("([^'])' ", "$1 ' "),
    rule("[\\]\\[\\(\\)\\{\\}<>]", " $& "),
    rule("--", " -- "),
  ];
  const PADDED = [
    // closing quotes
    rule("''", " '' "),
    rule('"', " '' "),
    rule("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
    rule("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
    // words that have grown together; Python takes ı for i and ſ for s there
    rule(`${EDGE}(can)(not)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(d)('ye)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(g[iı]m)(me)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(gon)(na)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(got)(ta)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(lem)(me)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(more)('n)${EDGE}`, " $1 $2 "),
    rule(`${EDGE}(wan)(na)(?=[${SPACE}])`, " $1 $2 "),
    rule(` ('t)([iı][sſ])${EDGE}`, " $1 $2 "),
    rule(` ('t)(wa[sſ])${EDGE}`, " $1 $2 "),
  ];
  const GAPS = new RegExp(`[${SPACE}]+`, "u");
  const CLOSED = new RegExp(`(?<![^${SPACE}])''(?![^${SPACE}])`, "u");
  const NUMBER = /^\p{Nd}+(?:[.,]\p{Nd}+)*$/u;

  const apply = (text, rules) =>
    rules.reduce((result, [pattern, replacement]) => result.replace(pattern, replacement), text);
  const split = (text) =>
    apply(` ${apply(text, TREEBANK)} `, PADDED).split(GAPS).filter((token) => token);

  const tokenise = (sentence) => {
    const plain = sentence.toLowerCase().normalize("NFC").replace(/[‘’]/g, "'").replace(/[“”]/g, '"');
    const [first, ...rest] = plain.split(CLOSED);
    const tokens = split(first);
    for (const part of rest) tokens.push("''", ...split(part));
    return tokens.map((token) => (NUMBER.test(token) ? "_num_" : token));
  };

  // -- The network: equation (S1) -----------------------------------------------------------------

  const numbers = (data) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true));
  };

  const unpack = (text) => {
    const { words, tensors } = JSON.parse(text);
    const index = new Map(words.split("\n").map((word, place) => [word, place]));
    const [D] = tensors.Wx.shape;
    const [H] = tensors.w.shape;
    const weights = Object.entries(tensors).map(([name, { data }]) => [name, numbers(data)]);
    return { index, D, H, ...Object.fromEntries(weights) };
  };

  const UNKNOWN = 1;
  const isKnown = (token) => model.index.get(token) > UNKNOWN;

  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  /* One step: z = x Wx + h Wh + b holds the four gates side by side, in the order f, i, c̃, o. */
  const step = (word, h, c) => {
    const { D, H, vectors, Wx, Wh, b, w, bias } = model;
    const z = b.slice();
    for (let d = 0; d < D; d++) {
      const x = vectors[word * D + d];
      for (let k = 0; k < 4 * H; k++) z[k] += x * Wx[d * 4 * H + k];
    }
    for (let j = 0; j < H; j++) {
      for (let k = 0; k < 4 * H; k++) z[k] += h[j] * Wh[j * 4 * H + k];
    }
    const f = z.slice(0, H).map(sigmoid);
    const i = z.slice(H, 2 * H).map(sigmoid);
    const c_tilde = z.slice(2 * H, 3 * H).map(Math.tanh);
    const o = z.slice(3 * H).map(sigmoid);
    const next_c = c.map((c_k, k) => f[k] * c_k + i[k] * c_tilde[k]);
    const next_h = next_c.map((content, k) => o[k] * Math.tanh(content));
    const score = next_h.reduce((sum, h_k, k) => sum + h_k * w[k], bias[0]);
    return { f, i, c_tilde, o, c: next_c, h: next_h, probability: sigmoid(score) };
  };

  const readTokens = (tokens) => {
    let state = { h: new Float64Array(model.H), c: new Float64Array(model.H) };
    return tokens.map((token) => {
      state = step(isKnown(token) ? model.index.get(token) : UNKNOWN, state.h, state.c);
      return state;
    });
  };

  // -- The drawing --------------------------------------------------------------------------------

  const PITCH = 6;
  const BAR = 5;
  const NAMES = {
    f: "forget gate",
    i: "input gate",
    c_tilde: "candidate",
    o: "output gate",
    c: "cell",
  };
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

  const drawBar = (p) =>
    `${p.toFixed(2)}<svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true">` +
    `<rect class="${p > 0.5 ? "for" : "against"}" x="20" y="${(40 * (1 - Math.max(p, 0.5))).toFixed(2)}" ` +
    `width="60" height="${(40 * Math.abs(p - 0.5)).toFixed(2)}"></rect>` +
    '<path class="line" d="M0 20H100"></path></svg>';

  const drawSvg = (gate, values, drawn) =>
    `<svg role="img" aria-label="${NAMES[gate]}: mean ${mean(values).toFixed(2)}, ` +
    `from ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}" ` +
    `viewBox="0 0 100 ${PITCH * model.H}" preserveAspectRatio="none">${drawn}</svg>`;

  const drawHeat = (gate, values) =>
    drawSvg(
      gate,
      values,
      Array.from(
        values,
        (v, unit) =>
          `<rect y="${PITCH * unit}" width="100" height="${BAR}" fill-opacity="${v.toFixed(2)}"></rect>`,
      ).join(""),
    );

  const drawSigned = (gate, values, lengths) => {
    const bars = (sign) =>
      Array.from(lengths, (length, unit) =>
        length * sign > 0
          ? `M50 ${PITCH * unit}h${(50 * length).toFixed(1)}v${BAR}H50z`
          : "",
      ).join("");
    return drawSvg(
      gate,
      values,
      `<path class="for" d="${bars(1)}"></path><path class="against" d="${bars(-1)}"></path>` +
        `<path class="line" d="M50 0V${PITCH * model.H}"></path>`,
    );
  };

  const drawColumn = (reading) => [
    drawBar(reading.probability),
    drawHeat("f", reading.f),
    drawHeat("i", reading.i),
    drawSigned("c_tilde", reading.c_tilde, reading.c_tilde),
    drawHeat("o", reading.o),
    drawSigned("c", reading.c, reading.c.map(Math.tanh)),
  ];

  // -- The page -----------------------------------------------------------------------------------

  const MOST = Number(root.dataset.mostWords);
  const field = root.querySelector("textarea");
  const box = root.querySelector(".live-scroll");
  const [head, ...rows] = box.querySelectorAll("tr");
  const answer = root.querySelector("#live-lstm-probability");
  const note = root.querySelector("#live-lstm-note");
  const figures = root.querySelector(".live-numbers");
  const status = root.querySelector(".live-status");

  const models = [...root.querySelectorAll(".live-model")].map((script) => script.textContent);
  let model = unpack(models[0]); // what reads
  let tokens = []; // what the columns show
  let readings = [];
  let chosen = -1; // the column whose numbers stand below
  let timer = 0;

  const plural = (count) => (count === 1 ? "1 word" : `${count} words`);

  const say = (all) => {
    const strange = [...new Set(tokens.filter((token) => !isKnown(token)))];
    const cut = all > MOST ? `the first ${MOST} of ${all} words` : plural(all);
    if (!all) return "no word yet";
    if (!strange.length) return `${cut}, ${all === 1 ? "it is known" : "all of them known"}`;
    const some = strange.slice(0, 3).join(", ") + (strange.length > 3 ? ", …" : "");
    return `${cut}, unknown: ${some}`;
  };

  /* Show the numbers of a column; a column is highlighted as a whole. */
  const show = (column) => {
    for (const cell of box.querySelectorAll(".on")) cell.classList.remove("on");
    const reading = readings[column];
    const entry = (name, text) => `<div><dt>${name}</dt><dd>${text}</dd></div>`;
    const signed = (v, digits) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(digits);
    const gate = (key) =>
      entry(`mean <i>${key}</i>`, reading ? mean(reading[key]).toFixed(2) : "–");
    const before = column > 0 ? readings[column - 1].probability : sigmoid(model.bias[0]);
    const change = reading ? reading.probability - before : 0;
    figures.innerHTML =
      entry("word", '<span class="live-token"></span>') +
      entry("probability", reading ? reading.probability.toFixed(3) : "–") +
      entry("change", reading ? signed(change, 3) : "–") +
      gate("f") +
      gate("i") +
      gate("o") +
      entry("mean <i>c</i>", reading ? signed(mean(reading.c), 2) : "–");
    figures.querySelector(".live-token").textContent = reading ? tokens[column] : "–";
    if (!reading) return;
    for (const row of [head, ...rows]) row.cells[column + 1].classList.add("on");
  };

  const choose = (column) => {
    chosen = column;
    show(column);
  };

  const announce = (text, delay) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      status.textContent = text;
    }, delay);
  };

  const headCell = (token) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    const word = document.createElement("span");
    word.className = "live-word";
    word.textContent = token;
    if (!isKnown(token)) {
      word.classList.add("unknown");
      word.insertAdjacentHTML("beforeend", "<small>unknown</small>");
    }
    cell.append(word);
    return cell;
  };

  const update = () => {
    const all = tokenise(field.value);
    const next = all.slice(0, MOST);
    let same = 0;
    while (same < next.length && same < tokens.length && next[same] === tokens[same]) same++;
    for (const row of [head, ...rows]) while (row.cells.length > same + 1) row.lastChild.remove();
    tokens = next;
    readings = readTokens(tokens);
    for (let column = same; column < tokens.length; column++) {
      head.append(headCell(tokens[column]));
      for (const [place, drawn] of drawColumn(readings[column]).entries()) {
        const cell = document.createElement("td");
        cell.innerHTML = drawn;
        rows[place].append(cell);
      }
    }
    root.classList.toggle("live-many", tokens.length > 10);
    answer.textContent = readings.length ? readings.at(-1).probability.toFixed(2) : "–";
    note.textContent = say(all.length);
    choose(tokens.length - 1);
    box.scrollLeft = box.scrollWidth; // the latest word is in view
    announce(`Probability of praise ${answer.textContent}, ${note.textContent}.`, 700);
  };

  const exchange = (text) => {
    model = unpack(text);
    root.querySelector(".live-known").textContent = (model.index.size - UNKNOWN - 1).toLocaleString("en");
    tokens = []; // no column stays as it was
    update();
  };

  const columnOf = (target) => {
    const cell = target.closest("td, thead th[scope=col]");
    return cell ? cell.cellIndex - 1 : -1;
  };

  box.addEventListener("pointerover", ({ target }) => {
    const column = columnOf(target);
    show(column < 0 ? chosen : column);
  });
  box.addEventListener("pointerleave", () => show(chosen));
  box.addEventListener("click", ({ target }) => {
    const column = columnOf(target);
    if (column >= 0) choose(column);
  });
  box.addEventListener("keydown", (event) => {
    const last = tokens.length - 1;
    const to = {
      ArrowLeft: Math.max(chosen - 1, 0),
      ArrowRight: Math.min(chosen + 1, last),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    choose(to);
    const cell = head.cells[to + 1];
    const name = head.cells[0].offsetWidth; // the names of the rows cover the left of the box
    const [left, right] = [cell.offsetLeft - name, cell.offsetLeft + cell.offsetWidth];
    box.scrollLeft = Math.max(Math.min(box.scrollLeft, left), right - box.clientWidth);
    const descriptions = [...figures.children].map(({ children: [term, text] }) =>
      `${term.textContent} ${text.textContent}`,
    );
    announce(`${descriptions.join(", ")}.`, 200);
  });
  field.addEventListener("input", update);
  for (const radio of root.querySelectorAll(".live-models input")) {
    radio.disabled = false;
    radio.checked = radio.defaultChecked; // a browser may remember another choice
    radio.addEventListener("change", () => exchange(models[radio.value]));
  }
  for (const button of root.querySelectorAll(".live-examples button")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      field.value = button.textContent;
      update();
    });
  }

  head.querySelectorAll("[scope=col]").forEach((cell) => cell.remove());
  for (const row of rows) while (row.cells.length > 1) row.lastChild.remove();
  box.ariaLabel += "; the arrow keys go from word to word";
  field.disabled = false;
  figures.hidden = false;
  update();
  box.scrollLeft = 0;
  clearTimeout(timer); // nothing has been typed: nothing to announce
  root.liveLSTM = { tokenise, readTokens }; // for the test that compares them with Python's
  root.dataset.ready = "true";
})();
