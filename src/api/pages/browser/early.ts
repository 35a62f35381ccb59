// Runs before anything is drawn, so that a page does not flash in the other theme.
try {
  const theme = localStorage.getItem('petals-theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset['theme'] = theme
} catch {
  // Where nothing may be stored, the system's theme holds.
}
