import { FILTERS, ALL_TESTS } from './filters/registry.ts'
import { renderText, scopeOf } from './render.ts'
import { Scope } from './scope.ts'
import { checkNames } from './syntax/check-names.ts'
import { findHiddenNames } from './syntax/hidden-names.ts'
import type { Statement } from './syntax/nodes.ts'
import { parseTemplate } from './syntax/statements.ts'
import { beginAccount } from './values/limits.ts'
import { toValue } from './values/value.ts'

/**
 * A template of jinja2, rendered as transformers sets jinja2 up: its immutable sandbox with trim_blocks,
 * lstrip_blocks, loop controls, `{% generation %}`, and transformers' own `tojson`, `raise_exception` and
 * `strftime_now`. Whatever is not supported here is an `UnsupportedError`, so that no template is rendered differently
 * without a word.
 */
export class Template {
  readonly #body: readonly Statement[]

  /** Throws a `PythonError` where jinja2 would not compile the text, an `UnsupportedError` for what is missing here. */
  constructor(text: string) {
    this.#body = parseTemplate(text)
    findHiddenNames(this.#body)
    checkNames(this.#body, { filters: FILTERS, tests: ALL_TESTS })
  }

  /**
   * The text for variables of JSON's kinds. Throws a `PythonError` where Python would raise, a `RefusalError` when the
   * template calls `raise_exception`, and an `UnsupportedError`.
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    beginAccount()
    const context = Object.entries(variables).map(([name, value]) => [name, toValue(value)] as const)
    return renderText(this.#body, scopeOf(this.#body, new Scope(undefined, context)))
  }
}
