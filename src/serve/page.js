// The page for writing with the models of a server: tokens as they come, and what the model thought of each.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const defaults = {
    temperature: 0.8, top_p: 0.95, top_k: 0, min_p: 0, frequency_penalty: 0, max_tokens: 200, n: 1, seed: "", stop_at: "",
  };
  const numbers = ["temperature", "top_p", "top_k", "min_p", "frequency_penalty", "max_tokens", "n"];
  const alternatives = 8; // asked for with every token
  const memory = "flashlm.settings";
  let models = [];
  let chosen = []; // ids of the models that write
  let texts = []; // what is shown: {model, prompt, tokens, reason, ...}
  let writing = null; // AbortController of what is being written
  let pinned = null; // the token whose tip stays

  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "class") element.className = value;
      else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };

  // --- settings, which the browser remembers -------------------------------------------------------------------------

  function show(settings) {
    for (const key of Object.keys(defaults)) $(key).value = settings[key];
    $("colour").value = settings.colour || "surprise";
  }

  function settings() {
    const all = { colour: $("colour").value, models: chosen };
    for (const key of Object.keys(defaults)) all[key] = $(key).value;
    return all;
  }

  function remember() {
    try {
      localStorage.setItem(memory, JSON.stringify({ ...settings(), prompt: $("prompt").value }));
      sessionStorage.setItem(memory, $("key").value);
    } catch (_) { /* a browser may forbid it; then nothing is remembered */ }
  }

  function recall() {
    let known = {};
    try {
      known = JSON.parse(localStorage.getItem(memory)) || {};
      $("key").value = sessionStorage.getItem(memory) || "";
    } catch (_) { /* the same */ }
    show({ ...defaults, ...known });
    if (typeof known.prompt === "string") $("prompt").value = known.prompt;
    chosen = Array.isArray(known.models) ? known.models : [];
  }

  // --- asking the server ---------------------------------------------------------------------------------------------

  const headers = () => ($("key").value ? { Authorization: "Bearer " + $("key").value } : {});

  async function problemOf(answer) {
    try {
      return (await answer.json()).error.message;
    } catch (_) {
      return `the server says ${answer.status}`;
    }
  }

  async function loadModels() {
    const answer = await fetch("v1/models", { headers: headers() });
    $("key-field").hidden = answer.status !== 401 && !$("key").value;
    if (!answer.ok) {
      if (answer.status === 401) $("settings").open = true;
      say(await problemOf(answer), true);
      return;
    }
    models = (await answer.json()).data;
    chosen = chosen.filter((id) => models.some((model) => model.id === id));
    if (chosen.length === 0) chosen = models.map((model) => model.id);
    $("about").textContent = models.map((model) =>
      `${model.id}: ${model.architecture}, ${(model.parameters / 1e6).toFixed(2)} M parameters`).join(" · ");
    const box = $("models");
    box.hidden = models.length < 2;
    const most = Math.min(...models.map((model) => model.max_tokens));
    $("max_tokens").max = most;
    if (defaults.max_tokens > most) {
      if ($("max_tokens").value === String(defaults.max_tokens)) $("max_tokens").value = most;
      defaults.max_tokens = most;
    }
    box.replaceChildren(box.querySelector("legend"), ...models.map((model) => make("label", {},
      make("input", { type: "checkbox", value: model.id, checked: chosen.includes(model.id), onchange: chooseModels }),
      " " + model.id)));
    say("");
  }

  function chooseModels() {
    chosen = [...$("models").querySelectorAll("input:checked")].map((box) => box.value);
    if (chosen.length === 0) {
      chosen = [models[0].id];
      $("models").querySelector("input").checked = true;
    }
    remember();
  }

  const numberOf = (key) => ($(key).value === "" ? defaults[key] : Number($(key).value));

  // A seed for all models and texts of one go, so that it can be repeated.
  const seedOf = () => ($("seed").value === "" ? Math.floor(Math.random() * 2 ** 32) : Number($("seed").value));

  function requestOf(model, prompt, count, seed) {
    const body = {
      model, prompt, n: count, seed, stream: true, logprobs: alternatives, details: true,
      stream_options: { include_usage: true },
    };
    for (const key of numbers) if (key !== "n") body[key] = numberOf(key);
    if ($("stop_at").value) body.stop = [$("stop_at").value.replaceAll("\\n", "\n")];
    return body;
  }

  // Reads server-sent events: calls `each` with the data of every one.
  async function readEvents(answer, each) {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) if (event.startsWith("data: ")) each(event.slice(6));
    }
  }

  // --- writing -------------------------------------------------------------------------------------------------------

  // Texts of one model, from one request.
  async function writeWith(model, mine, prompt, seed, signal) {
    const started = performance.now();
    const answer = await fetch("v1/completions", {
      method: "POST", signal, headers: { "Content-Type": "application/json", ...headers() },
      body: JSON.stringify(requestOf(model, prompt, mine.length, seed)),
    });
    if (!answer.ok) throw new Error(await problemOf(answer));
    await readEvents(answer, (data) => {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message);
      for (const choice of event.choices) {
        const text = mine[choice.index];
        addTokens(text, choice);
        text.seconds = (performance.now() - started) / 1000;
        text.seed = event.seed;
        if (choice.finish_reason) {
          text.reason = choice.finish_reason;
          finish(text);
        }
      }
    });
  }

  async function write(prompt, ids, count, seed) {
    stop();
    remember();
    closeTip();
    const own = new AbortController();
    writing = own;
    busy(true);
    const groups = ids.map((model) => Array.from({ length: count }, (_, index) => ({
      model, prompt, seed, index, settings: settings(), tokens: [], reason: "", seconds: 0,
    })));
    texts = groups.flat();
    $("texts").replaceChildren(...texts.map(cardOf));
    say("writing …");
    const results = await Promise.allSettled(groups.map((mine, g) => writeWith(ids[g], mine, prompt, seed, own.signal)));
    if (writing !== own) return; // something newer is being written
    writing = null;
    busy(false);
    const failed = results.find((result) => result.status === "rejected" && result.reason.name !== "AbortError");
    for (const text of texts) if (!text.reason) { text.reason = "stopped"; finish(text); }
    const tokens = texts.reduce((sum, text) => sum + text.tokens.length, 0);
    say(failed ? failed.reason.message : `${tokens} tokens written`, Boolean(failed));
  }

  function stop() {
    if (writing) writing.abort();
  }

  function busy(yes) {
    $("stop").disabled = !yes;
    $("again").disabled = $("export").disabled = yes || texts.length === 0;
    $("texts").setAttribute("aria-busy", yes);
  }

  function say(text, wrong) {
    $("status").textContent = text;
    $("status").classList.toggle("error", Boolean(wrong));
  }

  // --- texts and their tokens ----------------------------------------------------------------------------------------

  const endOf = { stop: "the story's end", length: "as long as asked for", stopped: "stopped" };

  function cardOf(text) {
    text.story = make("div", {
      class: "story", tabindex: 0, role: "group",
      "aria-label": `Text ${text.index + 1} of ${text.model}; arrow keys go through its tokens, Enter shows alternatives`,
    }, make("span", { class: "prompt" }, text.prompt));
    text.note = make("p", { class: "soft" });
    text.story.addEventListener("keydown", (event) => walk(text, event));
    const name = models.length > 1 || texts.length > 1 ? `${text.model}, ${text.index + 1}` : text.model;
    return make("article", { class: "text" }, make("h2", {}, name), text.story, text.note,
      make("p", { class: "buttons" },
        make("button", { type: "button", onclick: () => again(text) }, "Again"),
        make("button", { type: "button", onclick: () => edit(text) }, "Edit"),
        make("button", { type: "button", onclick: () => goOn(text) }, "Go on"),
        make("button", { type: "button", onclick: () => copy(text) }, "Copy")));
  }

  const written = (text) => text.tokens.map((t) => t.text).join("");

  // The letters of a piece are cut where its tokens begin (in characters, not UTF-16 units).
  function addTokens(text, choice) {
    const { tokens, token_logprobs: logs, top_logprobs: tops, text_offset: offsets } = choice.logprobs;
    const letters = [...choice.text], base = text.length || 0;
    text.length = base + letters.length;
    tokens.forEach((name, i) => {
      const from = Math.max(0, offsets[i] - base);
      const to = i + 1 < tokens.length ? offsets[i + 1] - base : letters.length;
      const one = {
        name, text: name === "<eos>" ? "" : letters.slice(from, to).join(""), logprob: logs[i], top: tops[i],
        value: choice.details[i].value, gate: choice.details[i].ngram_gate, depth: choice.details[i].depth ?? null,
      };
      text.tokens.push(one);
      one.span = make("span", { class: "token" }, one.text);
      one.span.addEventListener("pointerenter", () => pinned || openTip(text, one));
      one.span.addEventListener("pointerleave", () => pinned || closeTip());
      one.span.addEventListener("click", () => { openTip(text, one); pinned = one; });
      text.story.append(one.span);
      paint(one);
    });
    offerColours(text);
  }

  function finish(text) {
    const nats = text.tokens.reduce((sum, t) => sum - t.logprob, 0);
    const mean = text.tokens.length ? (nats / text.tokens.length).toFixed(2) : "–";
    const speed = text.seconds > 0 ? `, ${Math.round(text.tokens.length / text.seconds)} tokens/s` : "";
    text.note.textContent =
      `${endOf[text.reason] || text.reason}; ${text.tokens.length} tokens${speed}, ${mean} nats each, seed ${text.seed}`;
  }

  const go = (prompt) => write(prompt, chosen, Math.min(8, Math.max(1, numberOf("n"))), seedOf());

  function again(text) {
    write(text.prompt, chosen, texts.filter((t) => t.model === text.model).length, Math.floor(Math.random() * 2 ** 32));
  }
  function edit(text) {
    $("prompt").value = text.prompt + written(text);
    $("prompt").focus();
  }
  // Not from the field, which has line breaks of its own kind.
  function goOnFrom(beginning) {
    $("prompt").value = beginning;
    go(beginning);
  }
  const goOn = (text) => goOnFrom(text.prompt + written(text));
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text.prompt + written(text));
      say("copied");
    } catch (_) {
      say("the browser does not let this page copy", true);
    }
  }

  function exportTexts() {
    const all = texts.map(({ model, prompt, seed, settings: used, reason, seconds, tokens }) => ({
      model, prompt, text: tokens.map((t) => t.text).join(""), seed, settings: used, reason, seconds,
      tokens: tokens.map(({ name, logprob, top, value, gate, depth }) => ({ name, logprob, top, value, gate, depth })),
    }));
    const link = make("a", {
      href: URL.createObjectURL(new Blob([JSON.stringify({ written: new Date().toISOString(), texts: all }, null, 1)],
        { type: "application/json" })),
      download: "flashlm-texts.json",
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    say("exported as flashlm-texts.json");
  }

  // --- colours -------------------------------------------------------------------------------------------------------

  // What a colour shows: a number of a token, and what of it is white and what is full.
  const scales = {
    surprise: { of: (t) => -t.logprob, low: 0, high: 6, unit: "nats" },
    value: { of: (t) => t.value, low: 1, high: 4, unit: "nats" },
    gate: { of: (t) => t.gate, low: 0, high: 1, unit: "" },
    depth: { of: (t) => t.depth, low: 1, high: 8, unit: "passes" },
  };

  function offerColours(text) {
    const last = text.tokens.at(-1);
    if (!last) return;
    for (const name of ["value", "gate", "depth"]) {
      if (scales[name].of(last) !== null) $("colour").querySelector(`[value=${name}]`).hidden = false;
    }
  }

  function paint(one) {
    const scale = scales[$("colour").value];
    const number = scale ? scale.of(one) : null;
    const share = number === null ? 0 : Math.min(1, Math.max(0, (number - scale.low) / (scale.high - scale.low)));
    one.span.style.background = share > 0 ? `rgb(var(--heat) / ${(0.8 * share).toFixed(3)})` : "";
  }

  function repaint() {
    const scale = scales[$("colour").value];
    $("scale").hidden = !scale;
    if (scale) {
      $("scale-low").textContent = `${scale.low} ${scale.unit}`;
      $("scale-high").textContent = `${scale.high} ${scale.unit}`;
    }
    for (const text of texts) text.tokens.forEach(paint);
  }

  // --- what the model expected of a token ----------------------------------------------------------------------------

  const shownName = (name) => name.replaceAll(" ", "␣").replaceAll("\n", "⏎");
  const percent = (logprob) => {
    const share = 100 * Math.exp(logprob);
    return (share >= 10 ? share.toFixed(0) : share.toPrecision(2)) + " %";
  };

  function openTip(text, one) {
    const at = text.tokens.indexOf(one);
    for (const other of document.querySelectorAll(".token.here")) other.classList.remove("here");
    one.span.classList.add("here");
    // Best first: an object has names that are numbers before others.
    const likely = Object.entries(one.top).sort((a, b) => b[1] - a[1]);
    // Reserved tokens have no text to go on from, and parts of characters none that can be sent.
    const odd = (name) => (name.startsWith("<") && name.endsWith(">")) || name.startsWith("bytes:");
    const rows = likely.map(([name, logprob]) => make("tr", {},
      make("td", {}, make("button", {
        type: "button", disabled: odd(name),
        title: "go on from here with this one", onclick: () => takeInstead(text, at, name),
      }, shownName(name))),
      make("td", {}, percent(logprob)),
      make("td", {}, make("span", { class: "bar", "aria-hidden": "true" }))));
    likely.forEach(([, logprob], i) => {
      rows[i].querySelector(".bar").style.width = `${(6 * Math.exp(logprob)).toFixed(2)}rem`;
    });
    const facts = [`“${shownName(one.name)}” ${percent(one.logprob)}, ${(-one.logprob).toFixed(2)} nats`];
    if (one.value !== null) facts.push(`value head: ${one.value.toFixed(2)} nats expected`);
    if (one.gate !== null) facts.push(`n-grams: ${(100 * one.gate).toFixed(0)} % of the prediction`);
    if (one.depth !== null) facts.push(`depth: ${one.depth} ${one.depth === 1 ? "pass" : "passes"}`);
    $("tip").replaceChildren(...facts.map((fact) => make("div", {}, fact)), make("table", {}, ...rows));
    $("tip").hidden = false;
    const box = one.span.getBoundingClientRect(), tip = $("tip").getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - tip.width - 8));
    $("tip").style.left = `${left + scrollX}px`;
    $("tip").style.top = `${box.bottom + 6 + scrollY}px`;
    return facts;
  }

  function closeTip() {
    pinned = null;
    $("tip").hidden = true;
    for (const other of document.querySelectorAll(".token.here")) other.classList.remove("here");
  }

  function takeInstead(text, at, name) {
    const before = text.tokens.slice(0, at).map((t) => t.text).join("");
    goOnFrom(text.prompt + before + name);
  }

  // Arrow keys go through the tokens of a text, which screen readers are told; Enter enters the alternatives.
  function walk(text, event) {
    const last = text.tokens.length - 1;
    const at = text.tokens.findIndex((t) => t.span.classList.contains("here"));
    const to = { ArrowRight: at + 1, ArrowLeft: at < 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to !== undefined && last >= 0) {
      const one = text.tokens[Math.min(last, Math.max(0, to))];
      $("spoken").textContent = openTip(text, one).join("; ");
      pinned = one;
      event.preventDefault();
    } else if (event.key === "Enter" && at >= 0) {
      $("tip").querySelector("button:not(:disabled)")?.focus();
      event.preventDefault();
    }
  }

  // --- events --------------------------------------------------------------------------------------------------------

  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    go($("prompt").value);
  });
  $("stop").addEventListener("click", stop);
  $("again").addEventListener("click", () => texts.length && again(texts[0]));
  $("export").addEventListener("click", exportTexts);
  $("clear").addEventListener("click", () => {
    stop();
    closeTip();
    texts = [];
    $("texts").replaceChildren();
    busy(false);
    say("");
  });
  $("defaults").addEventListener("click", () => {
    show({ ...defaults, colour: $("colour").value });
    remember();
  });
  $("settings").addEventListener("change", remember);
  $("key").addEventListener("change", () => loadModels().catch((error) => say(error.message, true)));
  // A folded setting that is wrong would be told to nobody.
  $("form").addEventListener("invalid", (event) => {
    $("settings").open = true;
    say(`${event.target.labels[0].firstChild.textContent.trim()}: ${event.target.validationMessage}`, true);
  }, true);
  $("colour").addEventListener("change", () => {
    repaint();
    remember();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go($("prompt").value);
    if (event.key !== "Escape") return;
    if (!$("tip").hidden) closeTip();
    else stop();
  });
  document.addEventListener("pointerdown", (event) => {
    if (pinned && !$("tip").contains(event.target) && !event.target.closest(".token")) closeTip();
  });

  recall();
  repaint();
  loadModels().catch(() => say("the server does not answer", true));
  // A link sends no key.
  fetch("run/data").then((answer) => { $("run-link").hidden = !answer.ok; }).catch(() => {});
})();
