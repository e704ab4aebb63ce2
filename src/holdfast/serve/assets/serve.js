(() => {
  "use strict";
  const find = (name, root = document) => root.querySelector(`[data-${name}]`);
  const all = (name) => [...document.querySelectorAll(`[data-${name}]`)];
  const cell = (kind, words, side) => {
    const made = document.createElement(kind);
    if (side) made.className = side;
    if (kind === "th") made.scope = "row";
    made.textContent = words;
    return made;
  };

  // commands are copied with one click
  for (const button of all("copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      } catch {
        return;
      }
      button.classList.add("done");
      button.setAttribute("aria-label", "Copied");
      setTimeout(() => {
        button.classList.remove("done");
        button.setAttribute("aria-label", "Copy command");
      }, 1500);
    });
  }

  // a question is sent from the keyboard
  for (const box of all("submit")) {
    box.addEventListener("keydown", (pressed) => {
      if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) box.form.requestSubmit();
    });
  }

  // two runs are picked, no more and no less
  const told = find("picked");
  if (told) {
    const boxes = [...document.querySelectorAll("input.pick")];
    const button = told.form?.querySelector("button") ?? document.querySelector("#pick button");
    const count = () => {
      const picked = boxes.filter((b) => b.checked).length;
      button.disabled = picked !== 2;
      told.textContent = picked === 2 ? "" : `Pick two runs above; ${picked} so far.`;
    };
    for (const box of boxes) box.addEventListener("change", count);
    count();
  }

  // an exported list narrows itself; its address can be shared
  const form = find("filter");
  if (form) {
    const asked = new URLSearchParams(location.search);
    for (const field of form.elements) if (field.name) field.value = asked.get(field.name) ?? "";
    const rows = all("run");
    const narrow = () => {
      const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
      const same = (row, key) => !form.elements[key].value || form.elements[key].value === row.dataset[key];
      for (const row of rows) {
        row.hidden = !(["model", "data", "verdict"].every((key) => same(row, key))
          && words.every((word) => row.dataset.words.includes(word)));
      }
      const left = rows.filter((row) => !row.hidden).length;
      find("count").textContent = left === rows.length ? `${left} runs` : `${left} of ${rows.length} runs`;
      find("none").hidden = left > 0;
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
      try {
        history.replaceState(null, "", query ? `?${query}` : location.pathname);
      } catch { /* some browsers keep the address of a file as it is */ }
    };
    form.addEventListener("input", narrow);
    form.addEventListener("submit", (sent) => { sent.preventDefault(); narrow(); });
    narrow();
  }

  // a running audit
  const live = find("events");
  if (live && ["running", "writing"].includes(live.dataset.state)) {
    const source = new EventSource(live.dataset.events);
    const put = (name, words) => {
      const place = find(name, live);
      if (place.textContent !== String(words)) place.textContent = words;
    };
    source.addEventListener("message", (event) => {
      const now = JSON.parse(event.data);
      if (now.state === "over" || now.state === "quiet") {
        source.close();
        location.reload();
        return;
      }
      put("says", now.says);
      put("left", now.left);
      put("done", now.done);
      put("total", now.total);
      const bar = find("progress", live);
      bar.max = now.total || 1;
      bar.value = now.done;
      const worst = find("worst", live);
      worst.hidden = !now.worst.length;
      if (now.worst.length) {
        const [value, interval, label, threat] = now.worst;
        worst.replaceChildren(
          cell("span", `${label}, worst so far`), cell("b", value), cell("small", `${interval} ${threat}`),
        );
      }
      find("numbers", live).replaceChildren(...now.numbers.map(([label, value, interval, n, threat, bound]) => {
        const row = document.createElement("tr");
        const strong = cell("td", "", "r");
        strong.append(cell("b", value));
        row.append(cell("th", label), strong, cell("td", interval), cell("td", n, "r"), cell("td", threat), cell("td", bound));
        return row;
      }));
    });
  }
})();
