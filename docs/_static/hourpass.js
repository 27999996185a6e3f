// Tells each cell of a table the title of its column, which hourpass.css shows on a phone.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    const titles = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        if (titles[column] && cell.textContent.trim()) cell.dataset.title = titles[column];
      });
    }
  }
});
