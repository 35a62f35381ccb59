import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PythonError, RefusalError, UnsupportedError } from '../../../../src/client/chat/template/errors.ts'
import { Template } from '../../../../src/client/chat/template/template.ts'

/** Texts of jinja2 as transformers sets it up (test/reference/templates.py); null where it raises. */
interface Snippets {
  readonly variables: Readonly<Record<string, unknown>>
  readonly cases: readonly (readonly [template: string, text: string | null])[]
}

interface Models {
  readonly conversations: readonly unknown[]
  readonly models: Readonly<Record<string, readonly (string | null)[]>>
}

const read = <T>(file: string): T => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')) as T
const { variables, cases } = read<Snippets>('snippets.json')
const { conversations, models } = read<Models>('models.json')

/** The date that the reference was made at. */
const NOW = new Date(2026, 2, 5, 14, 7, 9)

const isError = (error: unknown) => error instanceof PythonError || error instanceof RefusalError

test('every feature of a template gives the text that jinja2 gives, or an error where it raises', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOW })
  assert.ok(cases.length >= 200)
  const wrong = cases.flatMap(([template, expected]) => {
    const got = outcome(() => new Template(template).render(variables))
    return got === expected ? [] : [{ template, got, expected }]
  })
  assert.deepEqual(wrong, [])
})

for (const [name, texts] of Object.entries(models)) {
  test(`a template in the style of ${name} gives the texts that transformers gives`, (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW })
    const template = new Template(readFileSync(new URL(`models/${name}.jinja`, import.meta.url), 'utf8'))
    const got = conversations.map((messages) => outcome(() => template.render(given(messages))))
    assert.deepEqual(got, texts)
    assert.ok(texts.some((text) => text !== null))
  })
}

function given(messages: unknown): Record<string, unknown> {
  const tokens = { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>' }
  return { ...tokens, messages, tools: null, documents: null, add_generation_prompt: true }
}

/** The text; null if jinja2's kind of error was thrown, and the error's text if it was another. */
function outcome(render: () => string): string | null {
  try {
    return render()
  } catch (error) {
    return isError(error) ? null : `${String(error)}`
  }
}

const unsupported: readonly [template: string, feature: RegExp][] = [
  ['{% include "x" %}', /\{% include %\}/],
  ['{% block a %}{% endblock %}', /\{% block %\}/],
  ['{% autoescape true %}{% endautoescape %}', /\{% autoescape %\}/],
  ['{{ xs|random }}', /the filter random/],
  ['{{ d|pprint }}', /the filter pprint/],
  ['{{ lipsum() }}', /lipsum/],
  ['{{ cycler(1) }}', /cycler/],
  ["{{ 'a'.encode() }}", /str\.encode/],
  ['{{ n.bit_length() }}', /int\.bit_length/],
  ['{{ xs|map("string") }}', /the printing of a generator/],
  ['{{ d.get }}', /the printing of a builtin/],
  ['{{ "%*d" % (1, 2) }}', /'\*' in a % format/],
  ['{{ "{:{}}".format(1, 2) }}', /within a format specification/],
  ['{{ strftime_now("%G") }}', /strftime_now with %G/],
  ['{{ (-8.0) ** 0.5 }}', /complex numbers/],
  ['{{ ("<"|safe).upper() }}', /the method upper of HTML/],
  ['{{ "٣"|int }}', /other than ASCII digits/],
  ['{{ self.title() }}', /the variable self/],
  ['{{ 1 is sameas 1 }}', /identity of equal numbers/],
]

for (const [template, feature] of unsupported) {
  test(`${template} is refused by name`, () => {
    assert.throws(
      () => new Template(template).render(variables),
      (error) => error instanceof UnsupportedError && (assert.match(error.message, feature), true),
    )
  })
}
