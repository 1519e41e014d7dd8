/* The timeline: what uPlot is given to draw, and how all charts of the page move together. */
(() => {
  const { css, size, axis, sizes, follow } = plot;
  const data = JSON.parse(document.getElementById("data").textContent);
  const GLYPHS = { error: "!", budget: "%", limit: "▼", mark: "◆", collect: "♻", reset: "↺", clear: "✕" };
  const RANKS = Object.keys(GLYPHS);
  const COLOURS = { active: "active", cache: "cache", total: "label", peak: "peak", footprint: "beyond" };
  const SPANS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
    10800, 14400, 21600, 43200, 86400, 172800, 604800, 2592000];
  const STRIP = 13, NEAR = 22, LEAST = 0.05, END = Math.max(data.end, LEAST);
  const charts = [];
  const view = { min: 0, max: END, zero: true };

  // Times as people read them: as core/units.py says them.

  function clock(seconds, step) {
    const s = Math.floor(seconds + 1e-6), two = (n) => String(n).padStart(2, "0");
    const fine = step < 1 ? (seconds - s).toFixed(step < 0.1 ? 2 : 1).slice(1) : "";
    return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}${fine}`;
  }
  const stamp = (seconds) => {
    const when = new Date((data.began + seconds) * 1000);
    const wall = isNaN(when) ? "" : ` · ${when.toISOString().slice(0, 19).replace("T", " ")} UTC`;
    return clock(seconds, view.max - view.min < 60 ? 0.1 : 1) + wall;
  };

  const number = (v) => v.toLocaleString("en-US");

  // What the page holds: columns as differences, the highest as what it has over the lowest.

  function sum(steps) {
    let run = 0;
    return steps.map((step) => (step === null ? null : (run += step)));
  }
  const over = (lo, more) => lo.map((v, i) => (v === null ? null : v + more[i]));
  const stepped = (times, steps) => {
    let at = -1;
    return times.map((t) => {
      while (at + 1 < steps.length && steps[at + 1][0] <= t) at += 1;
      return at < 0 ? null : steps[at][1];
    });
  };
  /* A value with nothing on either side is no line: it gets a point. */
  function alone(u, k, dense) {
    if (dense) return null;
    const v = u.data[k], found = [], [a, b] = u.series[0].idxs;
    for (let i = a; i <= b; i++) if (v[i] != null && v[i - 1] == null && v[i + 1] == null) found.push(i);
    return found;
  }
  const line = (name, colour, more) => ({
    label: name, class: name, width: 1.5, stroke: () => css(colour),
    points: { show: false, filter: alone, size: 4, fill: () => css(colour) }, ...more,
  });

  const above = (u, v, scale) => (v > u.scales[scale].max ? " ↑" : "");

  function memory(session) {
    const times = session.times, columns = [times], series = [{ value: (u, v) => (v === null ? "" : stamp(v)) }], bands = [];
    const add = (values, what) => { columns.push(values); return series.push(what) - 1; };
    for (const name of ["footprint", "peak", "total", "cache", "active"]) {
      const lo = session.lo[name], hi = session.hi[name], colour = COLOURS[name];
      if (!lo) continue;
      const value = (u, v, k, i) => (i === null ? "" : lo[i] === null ? "—"
        : hi && hi[i] - lo[i] > hi[i] / 500 ? `${size(lo[i])} – ${size(hi[i])}` : size(lo[i]));
      const k = add(lo, line(name, colour, { scale: "bytes", value, width: name === "total" ? 1 : 1.5 }));
      if (!hi) continue;
      add(hi, line("", colour, { scale: "bytes", class: "hi", width: 0.75, stroke: () => css(colour) + "99" }));
      bands.push({ series: [k + 1, k], fill: () => css(colour) + "38" });
    }
    for (const [name, steps] of [["limit", session.limit], ["budget", session.budget]]) {
      if (!steps.length) continue;
      const value = (u, v, k, i) => (i === null ? "" : v === null ? "none" : size(v) + above(u, v, "bytes"));
      add(stepped(times, steps), line(name, name, {
        label: name === "limit" ? "cache limit" : name, scale: "bytes", auto: false, near: name === "limit" ? 1.5 : 3, dash: [6, 4], width: 1, value,
        paths: uPlot.paths.stepped({ align: 1 }),
      }));
    }
    return { columns, series, bands };
  }

  /* A line far above everything would squeeze everything: it is in the legend. */
  function reach(u, max, top) {
    u.series.forEach((s, k) => {
      if (s.auto || !s.show || !k) return;
      for (const v of u.data[k]) if (v !== null && v > top && v <= s.near * max) top = v;
    });
    return top;
  }
  function range(u, min, max) {
    if (max === null) return [0, 2 ** 20];
    const top = reach(u, max, view.zero && data.sessions.length > 1 ? Math.max(max, data.top) : max);
    if (view.zero) return [0, Math.max(top * 1.05, 2 ** 10)];
    const room = Math.max((top - min) * 0.06, 2 ** 12);
    return [Math.max(0, min - room), top + room];
  }

  // Phases and events, which lie on the time axis

  function strip(u, session) {
    const { left, top, width, height } = u.bbox, r = devicePixelRatio, { ctx } = u, colours = {};
    const y = top + height + 4 * r;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, y, width, STRIP * r);
    ctx.clip();
    ctx.font = `${10.5 * r}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    session.runs.forEach(([start, phase], i) => {
      const end = i + 1 < session.runs.length ? session.runs[i + 1][0] : session.end;
      if (end < view.min || start > view.max) return;
      const [name, colour] = session.phases[phase] || ["", "own"];
      const a = Math.max(left, u.valToPos(start, "x", true)), b = Math.min(left + width, u.valToPos(end, "x", true));
      ctx.fillStyle = colours[colour] ||= css(colour);
      ctx.fillRect(a, y, Math.max(b - a, r), STRIP * r);
      if (b - a < 24 * r || ctx.measureText(name).width + 10 * r > b - a) return;
      ctx.fillStyle = colour === "idle" ? css("dim") : "#ffffff";
      ctx.fillText(name, a + 5 * r, y + (STRIP / 2 + 0.5) * r);
    });
    ctx.restore();
  }

  const tip = document.body.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;
  function tell(button, group) {
    tip.replaceChildren(...group.slice(0, 7).map((tick, i) => {
      const row = document.createElement("div"), time = document.createElement("b");
      time.textContent = clock(tick.time, 0.1) + " ";
      const more = i === 6 && group.length > 7 ? ` … and ${group.length - 7} more` : "";
      row.append(time, tick.text + (tick.times > 1 ? ` (× ${tick.times})` : "") + more);
      return row;
    }));
    tip.hidden = false;
    const box = button.getBoundingClientRect(), wide = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(8, Math.min(box.left + scrollX + 8, scrollX + wide - tip.offsetWidth - 12))}px`;
    tip.style.top = `${box.bottom + scrollY + 4}px`;
  }
  const firsts = new WeakMap(); // the first tick of each button
  function mark(u, session) {
    // Every redraw makes new buttons. The one that a keyboard stands on must not lose it.
    const focused = firsts.get(document.activeElement);
    u.over.querySelectorAll(".tick").forEach((old) => old.remove());
    tip.hidden = true;
    const groups = [];
    for (const tick of session.ticks) {
      if (tick.time < view.min || tick.time > view.max) continue;
      const at = u.valToPos(tick.time, "x"), last = groups[groups.length - 1];
      if (last && at - last.at < NEAR) last.ticks.push(tick);
      else groups.push({ at, ticks: [tick] });
    }
    u.over.style.setProperty("--drop", `${u.over.clientHeight}px`);
    for (const { at, ticks } of groups) {
      const first = ticks.reduce((a, b) => (RANKS.indexOf(b.kind) < RANKS.indexOf(a.kind) ? b : a));
      const count = ticks.reduce((n, tick) => n + tick.times, 0);
      const button = document.createElement("button");
      button.className = `tick ${first.kind}`;
      button.textContent = (first.up ? "▲" : GLYPHS[first.kind]) + (count > 1 ? "⁺" : "");
      button.style.left = `${at}px`;
      button.setAttribute("aria-label", `${clock(first.time, 0.1)} ${first.text}`);
      for (const on of ["pointerenter", "focus", "click"]) button.addEventListener(on, () => tell(button, ticks));
      for (const off of ["pointerleave", "blur"]) button.addEventListener(off, () => { tip.hidden = true; });
      u.over.append(button);
      firsts.set(button, ticks[0]);
      if (ticks.includes(focused)) button.focus({ preventScroll: true });
    }
  }

  // All charts show the same stretch of time

  function show(min, max) {
    const span = Math.min(Math.max(max - min, LEAST), END), start = Math.max(0, Math.min(min, END - span));
    for (const u of charts) u.setScale("x", { min: start, max: start + span });
  }
  function moved(u, key) {
    const { min, max } = u.scales.x;
    if (key !== "x" || (min === view.min && max === view.max)) return;
    Object.assign(view, { min, max });
    for (const other of charts) if (other !== u) other.setScale("x", { min, max });
  }
  const zoom = (by) => {
    const middle = (view.min + view.max) / 2, half = ((view.max - view.min) / 2) * by;
    show(middle - half, middle + half);
  };
  const pan = (by) => show(view.min + by * (view.max - view.min), view.max + by * (view.max - view.min));
  const DO = { whole: () => show(0, END), in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.25), right: () => pan(0.25) };
  const KEYS = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", Home: "whole" };

  function speed(session) {
    const values = sum(session.speed).map((v) => (v === null ? null : v / 1000));
    const value = (u, v, k, i) => (i === null ? "" : v === null ? "—" : v.toFixed(1));
    return { columns: [values], series: [line("speed", "speed", { label: `speed, ${session.unit}`, scale: "rate", value })] };
  }

  /* Live buffers as a trace counted them, below the number that the device allows. */
  function buffers(session) {
    const value = (u, v, k, i) => (i === null ? "" : v === null ? "—" : `at least ${number(v)}`);
    const columns = [sum(session.buffers)], series = [line("buffers", "buffers", { scale: "rate", value })];
    if (session.most_buffers !== null) {
      columns.push(session.times.map(() => session.most_buffers));
      series.push(line("limit", "limit", {
        label: "buffer limit", scale: "rate", auto: false, near: 1.5, dash: [6, 4], width: 1,
        value: (u, v, k, i) => (i === null ? "" : number(v) + above(u, v, "rate")),
      }));
    }
    return { columns, series };
  }

  function chart(place, session, columns, series, bands, bytes, height) {
    const wide = place.clientWidth < 560 ? 62 : 78;
    const unit = bytes ? "bytes" : "rate";
    const u = new uPlot({
      width: place.clientWidth, height, series, bands, padding: [bytes ? 24 : 8, 28, 0, 0],
      scales: { x: { time: false, range: (_, a, b) => [a, b] }, [unit]: { range: bytes ? range : (u, a, b) => [0, reach(u, b || 1, b || 1) * 1.1] } },
      axes: [
        axis({ incrs: SPANS, space: 84, gap: bytes ? STRIP + 9 : 4, size: bytes ? STRIP + 30 : 12, values: (_, splits, k, space, step) => splits.map((s) => (bytes ? clock(s, step) : "")) }),
        bytes ? sizes({ scale: unit, size: wide, space: 44 })
          : axis({ scale: unit, size: wide, space: 28, values: (_, splits) => splits.map((v) => number(+v.toFixed(3))) }),
      ],
      legend: { markers: { show: false } },
      cursor: {
        y: false, points: { show: false }, drag: { x: true, y: false, dist: 4 },
        sync: { key: "time", setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        bind: { dblclick: () => () => show(0, END) },
      },
      hooks: {
        setScale: [moved],
        setSeries: [(u, k, opts) => {
          if (k === null || opts.show === undefined || u.series[k + 1]?.class !== "hi") return;
          u.setSeries(k + 1, { show: opts.show });
        }],
        draw: bytes ? [(u) => strip(u, session), (u) => mark(u, session)] : [],
      },
    }, columns, place);
    u.setScale("x", { min: 0, max: END });
    charts.push(u);
  }

  for (const session of data.sessions) {
    session.times = sum(session.times).map((ms) => ms / 1000);
    for (const name of Object.keys(session.lo)) {
      session.lo[name] = sum(session.lo[name]);
      if (session.hi[name]) session.hi[name] = over(session.lo[name], session.hi[name]);
    }
    const place = document.getElementById(`chart-${session.id}`), several = data.sessions.length > 1;
    if (!session.times.length || !place) continue;
    const { columns, series, bands } = memory(session);
    chart(place, session, columns, series, bands, true, several ? 250 : Math.min(380, Math.max(280, innerHeight * 0.45)));
    for (const { columns, series } of [speed(session), buffers(session)]) {
      if (!columns[0].some((v) => v !== null)) continue;
      chart(place, session, [session.times, ...columns], [{ value: () => "" }, ...series], [], false, several ? 110 : 130);
    }
    place.addEventListener("keydown", (event) => {
      const name = KEYS[event.key];
      if (name && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); DO[name](); }
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do], [data-at]");
    if (!button) return;
    if (button.dataset.do) { DO[button.dataset.do](); return; }
    const at = Number(button.dataset.at), half = Math.min(view.max - view.min, END / 8) / 2;
    show(at - half, at + half);
    document.getElementById("timeline").scrollIntoView({ behavior: "smooth", block: "start" });
  });
  document.getElementById("zero")?.addEventListener("change", (event) => {
    view.zero = event.target.checked;
    show(view.min, view.max);
  });
  follow(charts);
  window.mlxtop = { charts, view, show };
})();
