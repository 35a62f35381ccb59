import { signal } from '@preact/signals'
import type { VNode } from 'preact'
import { html } from './html.ts'
import { Icon } from './icons.ts'

const THEMES = ['auto', 'light', 'dark'] as const
type Theme = (typeof THEMES)[number]

const STORED_AS = 'petals-theme'
const ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const
const NAMES = { auto: 'as the system', light: 'light', dark: 'dark' } as const

const theme = signal<Theme>(current())

/** Goes through the themes: as the system, light, dark. */
export function ThemeButton(): VNode {
  const name = `Theme: ${NAMES[theme.value]}`
  return html`<button type="button" class="icon-button" aria-label=${name} title=${name} onClick=${next}>
    <${Icon} name=${ICONS[theme.value]} />
  </button>`
}

function next(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!
  const { dataset } = document.documentElement
  if (theme.value === 'auto') delete dataset['theme']
  else dataset['theme'] = theme.value
  try {
    localStorage.setItem(STORED_AS, theme.value)
  } catch {
    // Where nothing may be stored, the theme lasts as long as the page.
  }
}

function current(): Theme {
  const chosen = document.documentElement.dataset['theme']
  return chosen === 'light' || chosen === 'dark' ? chosen : 'auto'
}
