document.addEventListener("DOMContentLoaded", () => {
  // A flag such as --url is marked, so that it is never broken after its hyphens.
  for (const word of document.querySelectorAll("code .pre")) {
    word.classList.toggle("flag", /^--?[a-z-]{1,24}$/.test(word.textContent));
  }
  for (const table of document.querySelectorAll("table.docutils")) {
    // On a phone hourpass.css shows the title of its column in each cell.
    const titles = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        if (titles[column] && cell.textContent.trim()) cell.dataset.title = titles[column];
      });
    }
    // In a wide table a long name may break after an underscore.
    for (const word of titles.length > 6 ? table.querySelectorAll("code .pre") : []) {
      word.replaceChildren(...word.textContent.split(/(?<=_)/).flatMap((part) => [part, document.createElement("wbr")]));
    }
  }
});
