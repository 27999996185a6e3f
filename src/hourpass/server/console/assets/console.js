// Copies what a button names in `data-copy`, and says so. Without this file, no such button is shown.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const from = document.getElementById(button.dataset.copy);
  const text = from.value ?? from.textContent;
  const words = button.querySelector("span");
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(text);
    words.textContent = "Copied";
  } catch {
    // Browsers give the clipboard to https and loopback only: the text is selected instead.
    getSelection().selectAllChildren(from);
    if (from.select) from.select();
    words.textContent = "Press Ctrl+C";
  }
  document.getElementById("said").textContent = words.textContent;
  setTimeout(() => (words.textContent = before), 2000);
});

// A form that is sent twice would do twice what it does.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button[type=submit]")) button.disabled = true;
  });
});

for (const button of document.querySelectorAll("[data-copy], [data-live]")) button.hidden = false;
