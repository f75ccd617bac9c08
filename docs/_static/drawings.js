/* An equation and the parts of drawings that belong to it light up together: when one of them, or
   a reference to the equation, is pointed at or has the focus. */
(() => {
  "use strict";
  const PARTS = "[data-equation], div.math, a[href*='#equation-']";
  const EQUATION = /^equation-eq-/;

  const idOf = (number) => `equation-eq-${number.toLowerCase()}`;

  /* The ids of the equations that an element belongs to. */
  const equationsOf = (element) => {
    const part = element?.closest?.(PARTS);
    if (!part) return [];
    if (part.dataset.equation) return part.dataset.equation.split(/\s+/).map(idOf);
    if (part.matches("a")) return [part.getAttribute("href").split("#")[1]];
    const ids = [part, ...part.querySelectorAll("[id]")].map(({ id }) => id);
    return ids.filter((id) => EQUATION.test(id));
  };

  let pointed = [];
  let focused = [];

  const light = () => {
    const ids = new Set([...pointed, ...focused]);
    const groups = document.querySelectorAll(".drawing [data-equation]");
    const boxes = [...document.querySelectorAll("[id^='equation-eq-']")];
    const lit = new Set([
      ...[...groups].filter((group) => equationsOf(group).some((id) => ids.has(id))),
      ...(groups.length ? boxes.filter(({ id }) => ids.has(id)).map((box) => box.closest("div.math")) : []),
    ]);
    for (const part of document.querySelectorAll(".lit")) {
      if (!lit.has(part)) part.classList.remove("lit");
    }
    for (const part of lit) part?.classList.add("lit");
  };

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector(".drawing [data-equation]")) return;
    document.addEventListener("pointerover", ({ target }) => {
      pointed = equationsOf(target);
      light();
    });
    document.documentElement.addEventListener("pointerleave", () => {
      pointed = [];
      light();
    });
    document.addEventListener("focusin", ({ target }) => {
      focused = equationsOf(target);
      light();
    });
    document.addEventListener("focusout", () => {
      focused = [];
      light();
    });
  });
})();
