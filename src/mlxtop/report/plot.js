/* What every chart of a page shares: colours, sizes as core/units.py says them, axes, and when it is drawn again. */
"use strict";
const plot = (() => {
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const NAMES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const SIZES = Array.from({ length: 44 }, (_, i) => 2 ** (i + 4));
  const FONT = "12px system-ui, sans-serif";
  const PAPER = 680;

  /* As many digits as tell sizes apart that are `step` bytes apart. */
  function size(n, step = Infinity) {
    if (n === null || n === undefined) return "—";
    let power = 0, value = Math.abs(n);
    while (power < 6 && value >= 1023.5) { value /= 1024; power += 1; }
    const usual = power === 0 ? 0 : power < 3 ? (value < 999.95 ? 1 : 0) : value < 99.995 ? 2 : value < 999.95 ? 1 : 0;
    const digits = Math.max(usual, Math.ceil(Math.log10(1024 ** power / step)));
    return `${n < 0 ? "-" : ""}${value.toFixed(digits)} ${NAMES[power]}`;
  }
  const short = (n, step) => size(n, step).replace(/\.?0+ /, (zeros) => (zeros[0] === "." ? " " : zeros));

  const axis = (more) => ({
    stroke: () => css("dim"), font: FONT, grid: { stroke: () => css("faint"), width: 1 }, ticks: { show: false }, ...more,
  });
  const sizes = (more) => axis({ incrs: SIZES, values: (u, splits, k, space, step) => splits.map((v) => short(v, step)), ...more });

  /* Colours are those of the screen, or of paper. A chart is as wide as its place; on paper, which a script cannot
     measure, no wider than A4 and Letter are between their margins. */
  function follow(charts) {
    const fit = () => charts.forEach((u) => {
      const place = u.root.parentElement.clientWidth, width = root.classList.contains("paper") ? Math.min(place, PAPER) : place;
      if (width && width !== u.width) u.setSize({ width, height: u.height });
    });
    const redraw = () => { fit(); charts.forEach((u) => u.redraw(false, true)); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    addEventListener("beforeprint", () => { root.classList.add("paper"); redraw(); });
    addEventListener("afterprint", () => { root.classList.remove("paper"); redraw(); });
    new ResizeObserver(fit).observe(document.body);
  }
  return { css, size, axis, sizes, follow };
})();
