/* Speed against peak total: a point a choice, with its intervals; a line joins those that no other beats. */
(() => {
  const { css, axis, sizes, follow } = plot;
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = { other: "label", front: "active", chosen: "speed" };
  const X = "total", Y = data.plan.metric, RADIUS = 4;
  const charts = [];

  const kind = (cell) => (cell.chosen ? "chosen" : cell.pareto ? "front" : "other");
  const ends = ({ median, low, high }) => [low ?? median, high ?? median];

  /* What one prompt length came to, from the least memory on. */
  function measured(length) {
    const count = data.cells.length / data.plan.lengths.length;
    const cells = data.cells.slice(length * count, (length + 1) * count);
    return cells.filter((cell) => cell[X] && cell[Y]).sort((a, b) => a[X].median - b[X].median);
  }

  function range(cells, name) {
    const all = cells.flatMap((cell) => ends(cell[name])), low = Math.min(...all), high = Math.max(...all);
    const room = Math.max((high - low) * 0.12, high * 0.01, 1e-9);
    return [Math.max(0, low - room), high + room];
  }

  function intervals(u, cells) {
    const { ctx } = u, x = (v) => u.valToPos(v, "x", true), y = (v) => u.valToPos(v, "y", true);
    ctx.save();
    ctx.lineWidth = devicePixelRatio;
    for (const cell of cells) {
      const [left, right] = ends(cell[X]).map(x), [low, high] = ends(cell[Y]).map(y);
      ctx.strokeStyle = css(COLOURS[kind(cell)]);
      ctx.beginPath();
      ctx.moveTo(left, y(cell[Y].median));
      ctx.lineTo(right, y(cell[Y].median));
      ctx.moveTo(x(cell[X].median), low);
      ctx.lineTo(x(cell[X].median), high);
      ctx.stroke();
    }
    ctx.restore();
  }

  /* Names stand where they cover no point and no other name; one that has no such place is in the table only. */
  function names(u, cells) {
    u.over.querySelectorAll(".name").forEach((old) => old.remove());
    const points = cells.map((cell) => ({ cell, x: u.valToPos(cell[X].median, "x"), y: u.valToPos(cell[Y].median, "y") }));
    const taken = points.map(({ x, y }) => ({ left: x - RADIUS, right: x + RADIUS, top: y - RADIUS, bottom: y + RADIUS }));
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const rank = ({ cell }) => Object.keys(COLOURS).indexOf(kind(cell));
    for (const { cell, x, y } of points.sort((a, b) => rank(b) - rank(a))) {
      const name = u.over.appendChild(document.createElement("span"));
      name.className = `name ${kind(cell)}`;
      name.textContent = (cell.chosen ? "★ " : "") + cell.choice;
      const width = name.offsetWidth, height = name.offsetHeight, away = RADIUS + 2;
      const places = [
        [x - width / 2, y - away - height], [x - width / 2, y + away], [x + away, y - height / 2], [x - away - width, y - height / 2],
      ].map(([left, top]) => ({ left, top, right: left + width, bottom: top + height }));
      const place = places.find((p) => p.left >= 0 && p.right <= u.over.clientWidth && p.top >= 0 && p.bottom <= u.over.clientHeight
        && !taken.some((other) => meet(p, other)));
      if (!place) { name.remove(); continue; }
      name.style.left = `${place.left}px`;
      name.style.top = `${place.top}px`;
      taken.push(place);
    }
  }

  function chart(place) {
    const cells = measured(Number(place.dataset.length)), speeds = (which) => cells.map((cell) => (which(cell) ? cell[Y].median : null));
    const points = (name) => ({
      paths: () => null, stroke: () => css(COLOURS[name]),
      points: { show: true, size: 2 * RADIUS + (name === "chosen" ? 2 : 0), fill: () => css(COLOURS[name]) },
    });
    const unit = place.dataset.kind === "span" ? " s" : "";
    charts.push(new uPlot({
      width: place.clientWidth, height: Math.min(340, Math.max(240, place.clientWidth * 0.55)), padding: [12, 30, 0, 0],
      scales: { x: { time: false, range: () => range(cells, X) }, y: { range: () => range(cells, Y) } },
      series: [
        {},
        { stroke: () => css("dim"), width: 1, dash: [2, 4], spanGaps: true, points: { show: false } },
        ...Object.keys(COLOURS).map(points),
      ],
      axes: [
        sizes({ space: 84, size: 30 }),
        axis({ size: 56, space: 40, values: (u, splits) => splits.map((v) => `${+v.toPrecision(6)}${unit}`) }),
      ],
      legend: { show: false },
      cursor: { show: false },
      hooks: { drawAxes: [(u) => intervals(u, cells)], draw: [(u) => names(u, cells)] },
    }, [cells.map((cell) => cell[X].median), speeds((cell) => cell.pareto),
      ...Object.keys(COLOURS).map((name) => speeds((cell) => kind(cell) === name))], place));
  }

  document.querySelectorAll(".chart").forEach(chart);
  follow(charts);
  window.mlxtop = { charts };
})();
