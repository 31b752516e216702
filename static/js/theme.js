// Sets the chosen theme before the first paint. A plain script in <head> on purpose: a module would run too late.
(function () {
  try {
    var chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch (error) {
    // Storage is switched off in this browser: the system's theme is used.
    document.documentElement.removeAttribute("data-theme");
  }
})();
