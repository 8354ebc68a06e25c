// Before anything is painted: the choice of the last time. Not a module, so that it comes first.
try {
  const chosen = localStorage.getItem("mlgit-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is forbidden: the system's choice holds.
}
