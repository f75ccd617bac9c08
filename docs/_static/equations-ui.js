/* Shows an equation and the names of the functions that implement it beside a reference to it, on
   hover or focus; Escape puts it away.
   Also opens the fold that a link leads into, lets the keyboard scroll an equation that is wider
   than its column, and fades out a table or code where it goes on to the right. */
(() => {
  "use strict";
  const card = document.createElement("div");
  card.id = "equation-preview";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  let shownFor = null;
  let timer = 0;

  const equation = (link) => {
    const [, id] = link.getAttribute("href").split("#"); // a drawing's link has no text for a href
    return (window.rnnreportEquations || {})[id];
  };

  const hide = () => {
    clearTimeout(timer);
    card.hidden = true;
    shownFor?.removeAttribute("aria-describedby");
    shownFor = null;
  };

  const show = async (link) => {
    if (shownFor === link) return;
    hide();
    const jax = window.MathJax;
    if (!jax?.tex2svgPromise) return;
    shownFor = link;
    await jax.startup.promise;
    const { tex, code } = equation(link);
    const drawn = await jax.tex2svgPromise(tex, { display: true });
    if (shownFor !== link) return; // the reader has moved on
    card.replaceChildren(drawn);
    if (code.length) {
      const line = document.createElement("p");
      line.className = "equation-code";
      line.textContent = `In code: ${code.join(", ")}`;
      card.append(line);
    }
    card.hidden = false;
    link.setAttribute("aria-describedby", card.id);
    const spot = link.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(spot.left, width - card.offsetWidth - 8));
    const below = spot.bottom + card.offsetHeight + 8 < innerHeight;
    card.style.left = `${left + scrollX}px`;
    card.style.top = `${scrollY + (below ? spot.bottom : spot.top - card.offsetHeight)}px`;
  };

  const later = (action, delay) => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };

  const reach = () => {
    for (const box of document.querySelectorAll("div.math > mjx-container")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // What can be scrolled sideways fades out where it goes on.
  const SCROLLS = ".ledger-scroll, .table-scroll, .pst-scrollable-table-container, div.highlight pre";
  const fade = ({ target: box }) => {
    const goesOn = box.scrollLeft + box.clientWidth < box.scrollWidth - 2;
    box.classList.toggle("goes-on", goesOn);
  };
  const fadeAll = () => {
    for (const box of document.querySelectorAll(SCROLLS)) fade({ target: box });
  };

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let fold = target?.parentElement.closest("details:not([open])");
    if (!fold) return;
    for (; fold; fold = fold.parentElement.closest("details:not([open])")) fold.open = true;
    target.scrollIntoView();
  };

  document.addEventListener("DOMContentLoaded", () => {
    window.MathJax?.startup?.promise?.then(reach);
    fadeAll();
    for (const box of document.querySelectorAll(SCROLLS)) box.addEventListener("scroll", fade);
    for (const again of [reach, fadeAll]) {
      addEventListener("resize", again);
      document.addEventListener("toggle", again, true);
    }
    unfold();
    addEventListener("hashchange", unfold);
    document.addEventListener("click", (event) => {
      if (event.target.closest("a[href*='#']")) setTimeout(unfold); // to where it has been before
    });
    document.body.append(card);
    card.addEventListener("mouseenter", () => clearTimeout(timer));
    card.addEventListener("mouseleave", () => later(hide, 200));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
    });
    for (const link of document.querySelectorAll("article a[href*='#equation-']:not(.headerlink)")) {
      if (equation(link) === undefined) continue;
      link.addEventListener("mouseenter", () => later(() => show(link), 200));
      link.addEventListener("mouseleave", () => later(hide, 200));
      link.addEventListener("focus", () => link.matches(":focus-visible") && show(link));
      link.addEventListener("blur", hide);
    }
  });
})();
