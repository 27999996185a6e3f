// Tells each cell of a table the title of its column, which hourpass.css shows on a phone.
// A long name in a table may break after an underscore.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    for (const code of table.querySelectorAll("code .pre")) {
      code.replaceChildren(...code.textContent.split(/(?<=_)/).flatMap((part) => [part, document.createElement("wbr")]));
    }
    const titles = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        if (titles[column] && cell.textContent.trim()) cell.dataset.title = titles[column];
      });
    }
  }
});
