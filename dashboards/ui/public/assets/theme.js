// Before anything is painted: the theme somebody chose, or none for the system's.
try {
  const theme = localStorage.getItem("tarsier.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; then the system's theme it is.
}
