import type { VNode } from 'preact'
import { html } from './html.ts'

/** Paths of icons on a grid of 20 by 20, drawn with lines. */
const PATHS = {
  plus: 'M10 4v12M4 10h12',
  send: 'M10 16V4M5 9l5-5 5 5',
  retry: 'M15.5 10a5.5 5.5 0 1 1-1.7-4M14 2.8V6h-3.2',
  edit: 'M12.2 4.8l3 3M4 16l.8-3.6 8.2-8.2a1.4 1.4 0 0 1 2 0l.8.8a1.4 1.4 0 0 1 0 2l-8.2 8.2L4 16z',
  copy: 'M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3',
  check: 'M4 10.5l4 4 8-9',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6',
  menu: 'M3 6h14M3 10h14M3 14h14',
  close: 'M5 5l10 10M15 5L5 15',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  down: 'M10 4v12M5 11l5 5 5-5',
  sliders: 'M3 6h7M14 6h3M3 14h3M10 14h7M12 4v4M8 12v4',
  sun:
    'M10 6.8a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4zM10 2v1.6M10 16.4V18M18 10h-1.6M3.6 10H2' +
    'M15.7 4.3l-1.2 1.2M5.5 14.5l-1.2 1.2M15.7 15.7l-1.2-1.2M5.5 5.5L4.3 4.3',
  moon: 'M16 11.6A6.4 6.4 0 0 1 8.4 4a6.4 6.4 0 1 0 7.6 7.6z',
  auto: 'M3.5 4.5h13v9h-13zM7 16.5h6',
  key: 'M12.5 3.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM9.7 10.3L4 16M6 14l2 2',
  warning: 'M10 3.5l7 12.5H3L10 3.5zM10 8.5v3.5M10 13.9v.2',
  download: 'M10 3v9M6 8.5l4 4 4-4M4 16h12',
} as const

export type IconName = keyof typeof PATHS

/** A small picture beside words or in a button that has a name. */
export function Icon({ name }: { readonly name: IconName }): VNode {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`
}

/** The project's mark. */
export function Mark(): VNode {
  const petals = [0, 72, 144, 216, 288].map(
    (angle) => html`<ellipse cx="16" cy="8.4" rx="4.6" ry="6.9" transform=${`rotate(${angle} 16 16)`} />`,
  )
  return html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    ${petals}
    <circle cx="16" cy="16" r="3.4" />
  </svg>`
}
