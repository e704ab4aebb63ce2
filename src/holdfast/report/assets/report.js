(() => {
  "use strict";
  const source = JSON.parse(document.getElementById("charts").textContent);
  const options = {
    mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
    tooltip: false, config: source.config,
    loader: { http: false, file: false },
  };
  const draw = async (box) => {
    const spec = source.charts[box.dataset.chart];
    if (!spec || typeof vegaEmbed === "undefined") return;
    const own = box.cloneNode(true);
    try {
      await vegaEmbed(box, spec, options);
      box.dataset.drawn = "yes";
    } catch (problem) {
      box.replaceChildren(...own.childNodes);
      box.dataset.drawn = "no";
      console.error(problem);
    }
  };
  const all = async () => {
    for (const box of document.querySelectorAll("[data-chart]")) {
      await draw(box);
      await new Promise((next) => setTimeout(next));
    }
    document.documentElement.dataset.ready = "yes";
  };
  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.classList.add("done");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.classList.remove("done");
      button.setAttribute("aria-label", "Copy command");
    }, 1500);
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const watch = new IntersectionObserver((seen) => {
    for (const one of seen) {
      if (!one.isIntersecting) continue;
      for (const a of links.values()) a.classList.remove("here");
      const link = links.get(one.target.id);
      if (link) link.classList.add("here");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const part of document.querySelectorAll("main section")) watch.observe(part);
  requestAnimationFrame(() => setTimeout(all));
})();
