"use strict";
(() => {
  const content = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("screen and (prefers-color-scheme: dark)");
  const settings = {
    responsive: true,
    displayModeBar: false, // it would hide legends; zoom by dragging, reset by a double click
  };
  const narrow = window.matchMedia("(max-width: 40rem)");
  const legendRow = 20; // px

  // Draw the figure that the panel's choices name, in the colours of the page.
  const draw = (panel) => {
    const key = [...panel.querySelectorAll("[data-choice]")].map((c) => c.value).join("|");
    const figure = content.panels[panel.dataset.panel][key];
    const template = content.templates[dark.matches ? "dark" : "light"];
    const plot = panel.querySelector(".plot");
    if (!figure) return;
    // Plotly writes into what it is given, so each drawing gets its own copy.
    const layout = { ...structuredClone(figure.layout), template: structuredClone(template) };
    const named = figure.data.filter((trace) => trace.name).length;
    const data = structuredClone(figure.data);
    if (narrow.matches) {
      if (named > 1) layout.height += named * legendRow;
      for (const trace of data) {
        // Numbers in cells would be too small to read; a touch shows them. Symbols are short.
        if (trace.meta === "symbols") trace.textfont = { ...trace.textfont, size: 8 };
        else delete trace.texttemplate;
      }
    }
    plot.style.height = `${layout.height}px`;
    Plotly.react(plot, data, layout, settings);
  };

  const panels = [...document.querySelectorAll("[data-panel]")];
  for (const panel of panels) {
    for (const choice of panel.querySelectorAll("select")) {
      choice.addEventListener("change", () => draw(panel));
    }
    panel.querySelector("button").addEventListener("click", () => {
      const plot = panel.querySelector(".plot");
      const { width, height } = plot.getBoundingClientRect();
      Plotly.downloadImage(plot, { format: "svg", filename: panel.dataset.panel, width, height });
    });
    draw(panel);
  }
  for (const query of [dark, narrow]) {
    query.addEventListener("change", () => panels.forEach(draw));
  }

  // Sort a table by the column whose head is pressed; empty cells stay last.
  const sort = (head) => {
    const table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head);
    const descending = head.getAttribute("aria-sort") === "ascending";
    const numeric = head.classList.contains("number");
    const value = (row) => row.children[column].dataset.sort;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
      return descending ? -order : order;
    });
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  };
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }

  // Mark the section being read in the table of contents.
  const links = new Map(
    [...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]),
  );
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        links.forEach((link) => link.classList.remove("current"));
        links.get(entry.target.id)?.classList.add("current");
      }
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  document.querySelectorAll("section[id]").forEach((section) => observer.observe(section));
})();
