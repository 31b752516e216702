// Small comforts. Every page works without them.

// The theme switch in the footer: system, light or dark, kept in this browser.
for (const box of document.querySelectorAll("[data-theme-switch]")) {
  const select = box.querySelector("select");
  select.value = document.documentElement.dataset.theme || "system";
  select.addEventListener("change", () => {
    const system = select.value === "system";
    if (system) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
    try {
      if (system) localStorage.removeItem("theme");
      else localStorage.setItem("theme", select.value);
    } catch (error) {
      select.title = "This browser does not keep the choice.";
    }
  });
  box.hidden = false;
}

// Header menus close on Escape and on a click elsewhere.
const menus = document.querySelectorAll("details.menu");
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus) {
    if (!menu.open) continue;
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A page that came back with mistakes starts at the list of them.
document.querySelector("[data-focus]")?.focus();

// <form data-confirm="Really?"> asks first.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// <button data-copy="#id"> copies that element's text.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
  });
}
