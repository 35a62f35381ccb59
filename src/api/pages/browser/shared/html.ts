import htm from 'htm'
import { type VNode, h } from 'preact'

type Template = (strings: TemplateStringsArray, ...values: unknown[]) => VNode

/** Elements, written as HTML in a template: html`<p class=${name}>${text}</p>`. Texts are never taken for HTML. */
// The library's types describe its CommonJS form.
export const html = (htm as unknown as { bind(create: typeof h): Template }).bind(h)
