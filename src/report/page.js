// Draws the charts of a page (chart_sheet.h) with Chart.js, 3 or 4. All of it is drawn anew when the theme, the axis or
// the runs that are shown change, and for printing: charts are few and their curves thinned.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dashes = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
  const single = data.owners.length < 2;
  const hidden = new Set(); // owners that are not shown
  let chosen = "tokens"; // the axis of charts that leave it open
  let charts = [];

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const look = (index) => ({ colour: css("--c" + (index % 8)), dash: dashes[Math.floor(index / 8) % 4] });

  function short(value) {
    const size = Math.abs(value);
    if (size >= 1e6) return +(value / 1e6).toPrecision(4) + " M";
    if (size >= 1e4) return +(value / 1e3).toPrecision(4) + " k";
    return String(+value.toPrecision(4));
  }

  // Of a logarithmic axis: 1, 2 and 5 times powers of ten.
  const sparse = (axis) => {
    axis.ticks = axis.ticks.filter(({ value }) => /^[125]\.0+e/.test(value.toExponential(5)));
  };

  const places = (series, over) =>
    over === "minutes" ? series.seconds.map((s) => s / 60) : over === "steps" ? series.steps : series.tokens;

  function curve(line, chart, labels, over) {
    const series = data.series[line.series];
    const kind = labels.indexOf(series.label);
    const style = look(single ? kind : series.owner);
    const x = places(series, over);
    const faint = line.style === "faint", points = line.style === "points";
    return {
      label: [...(single ? [] : [data.owners[series.owner]]), ...(series.label ? [series.label] : [])].join(": "),
      faint,
      data: series.values.map((y, i) => ({ x: x[i], y: chart.logarithmic && y !== null && y <= 0 ? null : y })),
      borderColor: faint ? style.colour + "50" : style.colour,
      backgroundColor: style.colour,
      pointBackgroundColor: points ? style.colour : undefined,
      borderWidth: faint ? 1 : 2,
      borderDash: points || single ? [] : (labels.length > 1 ? dashes[kind % 4] : style.dash),
      showLine: !points,
      pointRadius: points ? 3 : series.values.length === 1 ? 2 : 0,
      pointHitRadius: faint ? 0 : 8,
      pointStyle: points ? "circle" : "line",
      order: faint ? 2 : points ? 0 : 1,
      clip: 4, // a line along the edge keeps its width, a point on it half of its face
    };
  }

  function axes(title, unit) {
    const grid = { color: css("--rule") }, ticks = { color: css("--soft"), callback: short, maxRotation: 0 };
    const named = (text) => ({ display: true, text, color: css("--soft") });
    return {
      x: { type: "linear", grid, ticks, title: named(title) },
      y: { type: "linear", grid, ticks: { ...ticks }, title: named(unit) },
    };
  }

  function options(scales, plugins) {
    return {
      animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false,
      interaction: { mode: "nearest", axis: "x", intersect: false }, scales, plugins,
    };
  }

  function lineChart(chart) {
    const over = chart.over || chosen;
    const lines = chart.lines.filter((line) => !hidden.has(data.series[line.series].owner));
    const labels = [...new Set(chart.lines.map((line) => data.series[line.series].label))];
    const scales = axes(over, chart.unit);
    if (chart.logarithmic) {
      scales.y.type = "logarithmic";
      scales.y.afterBuildTicks = sparse;
    }
    if (chart.highest !== null) scales.y.max = chart.highest;
    scales.x.min = 0;
    // Ends where the curves end: a round number beyond would leave a fifth of a phone empty.
    scales.x.max = Math.max(...lines.map((line) => places(data.series[line.series], over).at(-1)), 0) || undefined;
    const key = (text, kind) => {
      const line = chart.lines.find((l) => data.series[l.series].label === text && l.style !== "faint");
      const colour = single ? look(kind).colour : css("--ink"), points = line?.style === "points";
      return {
        text, fontColor: css("--ink"), strokeStyle: colour, fillStyle: colour, lineWidth: 2,
        pointStyle: points ? "circle" : "line", lineDash: single || points ? [] : dashes[kind % 4],
      };
    };
    const dots = chart.lines.some((line) => line.style === "points");
    const legend = {
      display: labels.length > 1,
      onClick: () => {},
      // As wide as dashes need; dots would become ellipses.
      labels: { usePointStyle: true, pointStyleWidth: dots ? 10 : 26, boxHeight: 6, generateLabels: () => labels.map(key) },
    };
    const tooltip = {
      filter: (item) => !item.dataset.faint,
      callbacks: {
        title: (items) => (items.length ? short(items[0].parsed.x) + " " + over : ""),
        label: (item) => (item.dataset.label ? item.dataset.label + ": " : "") + short(item.parsed.y),
      },
    };
    const all = options(scales, { legend, tooltip, bands: { over } });
    const owners = bandOwners();
    all.layout = { padding: { bottom: owners.length > 1 ? owners.length * stripOf(owners) + 2 : 0 } };
    return {
      type: "line",
      data: { datasets: lines.map((line) => curve(line, chart, labels, over)) },
      options: all,
      plugins: [bands],
    };
  }

  const shownBands = () => data.bands.filter((band) => !hidden.has(band.owner));
  const bandOwners = () => [...new Set(shownBands().map((band) => band.owner))];
  const stripOf = (owners) => Math.min(12, 72 / owners.length); // the height of one's

  // Phases: of one run behind the whole chart, of several as strips below it.
  const bands = {
    id: "bands",
    beforeDatasetsDraw(chart, _, { over }) {
      const { ctx, chartArea: area, scales: { x } } = chart;
      const shown = shownBands(), owners = bandOwners(), whole = owners.length === 1, strip = stripOf(owners);
      ctx.save();
      ctx.font = "10px system-ui, sans-serif";
      for (const band of shown) {
        const number = shown.filter((other) => other.owner === band.owner).indexOf(band);
        const [from, to] = places(band, over);
        const left = x.getPixelForValue(from), right = Math.min(x.getPixelForValue(to), area.right);
        const top = whole ? area.top : chart.height - strip * (owners.length - owners.indexOf(band.owner));
        ctx.fillStyle = whole ? css("--soft") : look(band.owner).colour;
        ctx.globalAlpha = number % 2 ? 0.25 : 0.1;
        ctx.fillRect(left, top, right - left, whole ? area.height : strip - 1);
        ctx.globalAlpha = 1;
        ctx.fillStyle = css("--soft");
        const fits = strip >= 10 && ctx.measureText(band.name).width < right - left - 4;
        if (fits) ctx.fillText(band.name, left + 3, top + 9);
      }
      ctx.restore();
    },
  };

  function barChart(chart) {
    const scales = axes("", chart.unit);
    scales.x.type = "category";
    delete scales.x.ticks.callback;
    scales.y.min = 0;
    const bars = chart.bars.filter((bar) => !hidden.has(bar.owner));
    scales.y.suggestedMax = Math.max(...bars.flatMap((bar) => bar.values.flat()), 1);
    const label = (item) => {
      const [value, low, high, chance] = item.dataset.bars[item.dataIndex];
      const interval = low === null || high === null ? "" : ` (${short(low)} to ${short(high)})`;
      return `${item.dataset.label}: ${short(value)}${interval}` + (chance === null ? "" : `, chance ${short(chance)}`);
    };
    const all = options(scales, { legend: { display: false }, tooltip: { callbacks: { label } } });
    all.parsing = true;
    all.normalized = false;
    return {
      type: "bar",
      data: {
        labels: chart.groups,
        datasets: bars.map((bar) => ({
          label: data.owners[bar.owner], bars: bar.values, data: bar.values.map((v) => v[0]),
          backgroundColor: look(bar.owner).colour + "b0",
        })),
      },
      options: all,
      plugins: [whiskers],
    };
  }

  // Intervals as whiskers, chance as a dotted line across the bar.
  const whiskers = {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const { ctx, scales: { y } } = chart;
      ctx.save();
      ctx.strokeStyle = css("--ink");
      chart.data.datasets.forEach((dataset, d) => chart.getDatasetMeta(d).data.forEach((bar, i) => {
        const [, low, high, chance] = dataset.bars[i];
        const half = bar.width / 2;
        const stroke = (dash, x0, y0, x1, y1) => {
          ctx.setLineDash(dash);
          ctx.beginPath();
          ctx.moveTo(x0, y0);
          ctx.lineTo(x1, y1);
          ctx.stroke();
        };
        if (low !== null && high !== null) {
          const below = y.getPixelForValue(low), above = y.getPixelForValue(high);
          stroke([], bar.x, below, bar.x, above);
          for (const end of [below, above]) stroke([], bar.x - half / 3, end, bar.x + half / 3, end);
        }
        if (chance !== null) {
          const at = y.getPixelForValue(chance);
          stroke([2, 2], bar.x - half, at, bar.x + half, at);
        }
      }));
      ctx.restore();
    },
  };

  function draw() {
    for (const chart of charts) chart.destroy();
    charts = [...document.querySelectorAll("canvas[data-chart]")].map((canvas) => {
      const chart = data.charts[canvas.dataset.chart];
      return new Chart(canvas, chart.bars ? barChart(chart) : lineChart(chart));
    });
  }

  for (const box of document.querySelectorAll("input[data-owner]")) {
    box.addEventListener("change", () => {
      box.checked ? hidden.delete(+box.dataset.owner) : hidden.add(+box.dataset.owner);
      draw();
    });
  }
  document.getElementById("over")?.addEventListener("change", (event) => {
    chosen = event.target.value;
    draw();
  });
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", () => {
    root.dataset.print = "";
    draw();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    draw();
  });
  draw();
})();
