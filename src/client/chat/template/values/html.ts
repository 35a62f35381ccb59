import { toText } from './print.ts'
import { Markup, type Value } from './value.ts'

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&#34;',
  "'": '&#39;',
}

/** A value's text with HTML's characters escaped, unless it is marked as HTML. */
export function escapeHtml(value: Value): string {
  return value instanceof Markup ? value.text : toText(value).replaceAll(/[&<>"']/g, (c) => ENTITIES[c]!)
}
